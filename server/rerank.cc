#include "server/rerank.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/encoder.h"
#include "server/errors.h"
#include "server/score.h"
#include "server/sources.h"

namespace lmserve {
namespace {

// The features of all candidates: a name and a weight a column.
class FeatureTable {
 public:
  explicit FeatureTable(size_t candidates) : rows_(candidates) {}

  void AddColumn(std::string name, double default_weight) {
    names_.push_back(std::move(name));
    weights_.push_back(default_weight);
  }

  void AddValue(size_t candidate, double value) {
    rows_[candidate].push_back(value);
  }

  // Sets the weights that the request gives, and all others to 0.
  absl::Status SetWeights(
      const google::protobuf::Map<std::string, double>& weights) {
    if (weights.empty()) return absl::OkStatus();
    std::fill(weights_.begin(), weights_.end(), 0);
    for (const auto& [name, weight] : weights) {
      const std::string field = absl::StrCat("weights[", name, "]");
      if (!std::isfinite(weight)) {
        return InvalidField(field, absl::StrCat("expected a finite number, ",
                                                "found ", weight));
      }
      const auto found = std::find(names_.begin(), names_.end(), name);
      if (found == names_.end()) {
        return InvalidField(field, absl::StrCat("no such feature; there are: ",
                                                absl::StrJoin(names_, ", ")));
      }
      weights_[found - names_.begin()] = weight;
    }
    return absl::OkStatus();
  }

  // The weighted sum. A weight of 0 takes a feature out, infinite or not.
  double Score(size_t candidate) const {
    double score = 0;
    for (size_t i = 0; i < weights_.size(); ++i) {
      if (weights_[i] != 0) score += weights_[i] * rows_[candidate][i];
    }
    // Infinities of both signs: the text is impossible under a model.
    return std::isnan(score) ? -std::numeric_limits<double>::infinity() : score;
  }

  const std::vector<std::string>& names() const { return names_; }
  const std::vector<double>& weights() const { return weights_; }
  const std::vector<double>& row(size_t candidate) const {
    return rows_[candidate];
  }

 private:
  std::vector<std::string> names_;
  std::vector<double> weights_;
  std::vector<std::vector<double>> rows_;
};

absl::Status CheckRequest(const lm::v1::RerankRequest& request,
                          const Limits& limits) {
  if (request.models().empty() && request.reverse_models().empty()) {
    return InvalidField("models", "expected a model, found none");
  }
  if (request.candidates().empty()) {
    return InvalidField("candidates", "expected a candidate, found none");
  }
  if (!lm::v1::Normalization_IsValid(request.normalization())) {
    return InvalidField("normalization", absl::StrCat("expected 0 to 2, found ",
                                                      request.normalization()));
  }
  if (!std::isfinite(request.alpha()) || request.alpha() < 0) {
    return InvalidField(
        "alpha", absl::StrCat("expected a finite number from 0 up, ", "found ",
                              request.alpha()));
  }
  std::set<std::string> models(request.models().begin(),
                               request.models().end());
  models.insert(request.reverse_models().begin(),
                request.reverse_models().end());
  const int count = request.models_size() + request.reverse_models_size();
  if (models.size() != static_cast<size_t>(count)) {
    return InvalidField("models", "expected every model once");
  }
  absl::Status status = CheckLimit("models", count, limits.models);
  if (!status.ok()) return status;
  return CheckLimit("candidates", request.candidates_size(), limits.texts);
}

// The candidates' own features, by name.
absl::Status AddOwnFeatures(const lm::v1::RerankRequest& request,
                            const Limits& limits, FeatureTable* table) {
  const auto& first = request.candidates(0).features();
  absl::Status status =
      CheckLimit("candidates[0].features", first.size(), limits.features);
  if (!status.ok()) return status;
  std::set<std::string> names;
  for (const auto& [name, value] : first) names.insert(name);
  for (const std::string& name : names) table->AddColumn(name, 0);
  for (int i = 0; i < request.candidates_size(); ++i) {
    const auto& features = request.candidates(i).features();
    const std::string field = absl::StrCat("candidates[", i, "].features");
    if (features.size() != names.size()) {
      return InvalidField(
          field,
          absl::StrCat("expected the features of ", "candidates[0], ",
                       names.size(), " of them, found ", features.size()));
    }
    for (const std::string& name : names) {
      const auto found = features.find(name);
      if (found == features.end()) {
        return InvalidField(
            field, absl::StrCat("expected the features of ", "candidates[0], '",
                                name, "' is missing"));
      }
      if (!std::isfinite(found->second)) {
        return InvalidField(
            absl::StrCat(field, "[", name, "]"),
            absl::StrCat("expected a finite number, found ", found->second));
      }
      table->AddValue(i, found->second);
    }
  }
  return absl::OkStatus();
}

double Divisor(const lm::v1::RerankRequest& request, double words) {
  switch (request.normalization()) {
    case lm::v1::MEAN:
      return words;
    case lm::v1::POWER:
      return std::pow(words, request.alpha() == 0 ? 1 : request.alpha());
    default:
      return 1;
  }
}

// A divisor that is infinite, too, makes the impossible no likelier; the log-
// probability of no words at all is 0.
double Normalize(const lm::v1::RerankRequest& request, double log_prob,
                 double words) {
  if (std::isinf(log_prob) || words == 0) return log_prob;
  return log_prob / Divisor(request, words);
}

absl::Status AddModelColumn(const std::string& name, double default_weight,
                            FeatureTable* table) {
  const auto& names = table->names();
  if (std::find(names.begin(), names.end(), name) != names.end()) {
    return InvalidField(
        "candidates[0].features",
        absl::StrCat("'", name, "' is the name of a model's feature"));
  }
  table->AddColumn(name, default_weight);
  return absl::OkStatus();
}

// The normalized sum of a text's ln P.
double TextLogProb(const lm::v1::RerankRequest& request,
                   absl::Span<const float> log_probs) {
  return Normalize(request,
                   std::accumulate(log_probs.begin(), log_probs.end(), 0.0),
                   log_probs.size());
}

// The three features of one model.
Task<absl::Status> AddModelFeatures(const Serving& serving, Call& call,
                                    const std::string& name,
                                    const LoadedModel& loaded,
                                    const lm::v1::RerankRequest& request,
                                    FeatureTable* table) {
  const AnyModel& model = loaded.model();
  std::optional<Encoder> sources;
  absl::Status status;
  if (model.translation() != nullptr) {
    std::vector<const lm::v1::Text*> source;
    if (request.has_source()) source.push_back(&request.source());
    status = EncodeSources("source", loaded, serving.limits, source, &sources);
  }
  Encoder texts(model.vocabulary(), serving.limits);
  for (int i = 0; status.ok() && i < request.candidates_size(); ++i) {
    status = texts.Add(request.candidates(i).text(), "candidates", i,
                       {.may_be_empty = true, .add_end = PredictsEnd(model)});
  }
  for (const char* suffix : {"", ".unknown", ".words"}) {
    if (!status.ok()) co_return status;
    status = AddModelColumn(absl::StrCat(name, suffix),
                            suffix[0] == '\0' ? 1 : 0, table);
  }
  if (!status.ok()) co_return status;
  const absl::StatusOr<std::vector<float>> log_probs = co_await ScoreTexts(
      serving, call, loaded, texts, sources.has_value() ? &*sources : nullptr);
  if (!log_probs.ok()) co_return log_probs.status();
  for (size_t i = 0; i < texts.size(); ++i) {
    const absl::Span<const WordId> words = texts.words(i);
    table->AddValue(
        i,
        TextLogProb(request, texts.Part(absl::MakeConstSpan(*log_probs), i)));
    table->AddValue(i, std::count(words.begin(), words.end(),
                                  model.vocabulary().unknown()));
    table->AddValue(i, words.size());
  }
  co_return absl::OkStatus();
}

// ln P(source | candidate) by one model: every candidate is a source, and of
// each the request's source is the translation.
Task<absl::Status> AddReverseFeature(const Serving& serving, Call& call,
                                     const std::string& name,
                                     const LoadedModel& loaded,
                                     const lm::v1::RerankRequest& request,
                                     FeatureTable* table) {
  const AnyModel& model = loaded.model();
  absl::Status status = CheckHasSource("reverse_models", loaded, true);
  if (status.ok() && !request.has_source()) {
    status = CheckHasSource("source", loaded, false);
  }
  if (!status.ok()) co_return status;
  Encoder candidates(model.translation()->source_vocabulary(), serving.limits);
  Encoder texts(model.vocabulary(), serving.limits);
  for (int i = 0; status.ok() && i < request.candidates_size(); ++i) {
    status = candidates.Add(request.candidates(i).text(), "candidates", i,
                            {.may_be_empty = true});
    if (!status.ok()) co_return status;
    status = texts.Add(request.source(), "source", -1, {.add_end = true});
  }
  if (status.ok()) status = AddModelColumn(name, 1, table);
  if (!status.ok()) co_return status;
  const absl::StatusOr<std::vector<float>> log_probs =
      co_await ScoreTexts(serving, call, loaded, texts, &candidates);
  if (!log_probs.ok()) co_return log_probs.status();
  for (size_t i = 0; i < texts.size(); ++i) {
    table->AddValue(
        i,
        TextLogProb(request, texts.Part(absl::MakeConstSpan(*log_probs), i)));
  }
  co_return absl::OkStatus();
}

absl::Status FindModels(
    const Serving& serving,
    const google::protobuf::RepeatedPtrField<std::string>& names,
    std::vector<ModelHandle>* models) {
  for (const std::string& name : names) {
    absl::StatusOr<ModelHandle> handle = serving.store.Get(name);
    if (!handle.ok()) return handle.status();
    models->push_back(*std::move(handle));
  }
  return absl::OkStatus();
}

// A source that nothing reads is a mistake.
absl::Status CheckSourceIsRead(const lm::v1::RerankRequest& request,
                               absl::Span<const ModelHandle> models) {
  if (!request.has_source() || !request.reverse_models().empty()) {
    return absl::OkStatus();
  }
  for (const ModelHandle& model : models) {
    if (model->model().translation() != nullptr) return absl::OkStatus();
  }
  return InvalidField("source",
                      "no model is a translation model: expected no source, "
                      "found one");
}

void SetRanking(const FeatureTable& table, size_t candidates, size_t best,
                lm::v1::RerankResponse* response) {
  for (const std::string& name : table.names()) {
    response->add_feature_names(name);
  }
  response->mutable_weights()->Add(table.weights().begin(),
                                   table.weights().end());
  std::vector<double> scores(candidates);
  for (size_t i = 0; i < candidates; ++i) scores[i] = table.Score(i);
  std::vector<uint32_t> order(candidates);
  std::iota(order.begin(), order.end(), 0u);
  std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return scores[a] > scores[b];
  });
  if (best > 0) order.resize(std::min(best, candidates));
  for (uint32_t i : order) {
    lm::v1::RankedCandidate* candidate = response->add_candidates();
    candidate->set_index(i);
    candidate->set_score(scores[i]);
    candidate->mutable_features()->Add(table.row(i).begin(),
                                       table.row(i).end());
  }
}

}  // namespace

Task<absl::Status> Rerank(const Serving& serving, Call& call,
                          const lm::v1::RerankRequest& request,
                          lm::v1::RerankResponse* response) {
  absl::Status status = CheckRequest(request, serving.limits);
  if (!status.ok()) co_return status;
  std::vector<ModelHandle> models, reverse_models;
  status = FindModels(serving, request.models(), &models);
  if (status.ok()) {
    status = FindModels(serving, request.reverse_models(), &reverse_models);
  }
  if (status.ok()) status = CheckSourceIsRead(request, models);
  if (!status.ok()) co_return status;
  FeatureTable table(request.candidates_size());
  status = AddOwnFeatures(request, serving.limits, &table);
  for (size_t i = 0; status.ok() && i < models.size(); ++i) {
    SetModel(*models[i], response->add_models());
    status = co_await AddModelFeatures(serving, call,
                                       request.models(static_cast<int>(i)),
                                       *models[i], request, &table);
  }
  for (size_t i = 0; status.ok() && i < reverse_models.size(); ++i) {
    SetModel(*reverse_models[i], response->add_models());
    status = co_await AddReverseFeature(
        serving, call, request.reverse_models(static_cast<int>(i)),
        *reverse_models[i], request, &table);
  }
  if (status.ok()) status = table.SetWeights(request.weights());
  if (!status.ok()) co_return status;
  SetRanking(table, request.candidates_size(), request.best(), response);
  co_return absl::OkStatus();
}

}  // namespace lmserve
