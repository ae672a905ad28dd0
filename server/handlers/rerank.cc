#include "server/handlers/rerank.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "model_store/reranker.h"
#include "reranking/bayes_risk.h"
#include "server/call/status.h"
#include "server/handlers/encoded_texts.h"
#include "server/handlers/feature_table.h"
#include "server/handlers/score.h"
#include "server/handlers/sources.h"

namespace lmserve {
namespace {

// Of all candidates, where they are compared with each other.
constexpr uint64_t kMostBytesCompared = 256 << 10;

// What is counted of a byte of them takes as many: chrF, six n-grams a
// character.
constexpr uint64_t kBytesCountedOfAByte = 200;

// Bytes that are compared in the time that a neural model takes for a word.
constexpr size_t kBytesComparedInAWord = 1000;

// The reranker that a request tells itself.
lm::v1::Reranker TakeReranker(const lm::v1::RerankRequest& request) {
  lm::v1::Reranker reranker;
  const auto add_members = [&](const auto& models, bool reverse) {
    for (const std::string& model : models) {
      lm::v1::RerankerMember& member = *reranker.add_members();
      member.set_model(model);
      member.set_feature(model);
      member.set_reverse(reverse);
    }
  };
  add_members(request.models(), /*reverse=*/false);
  add_members(request.reverse_models(), /*reverse=*/true);
  *reranker.mutable_weights() = request.weights();
  reranker.set_normalization(request.normalization());
  reranker.set_alpha(request.alpha());
  if (request.has_minimum_bayes_risk()) {
    *reranker.mutable_minimum_bayes_risk() = request.minimum_bayes_risk();
  }
  return reranker;
}

// INVALID_ARGUMENT where a request names a reranker, and tells one, too.
absl::Status CheckTellsNone(const lm::v1::RerankRequest& request) {
  const std::pair<absl::string_view, bool> fields[] = {
      {"models", !request.models().empty()},
      {"reverse_models", !request.reverse_models().empty()},
      {"weights", !request.weights().empty()},
      {"normalization", request.normalization() != lm::v1::SUM},
      {"alpha", request.alpha() != 0},
      {"minimum_bayes_risk", request.has_minimum_bayes_risk()}};
  for (const auto& [field, is_set] : fields) {
    if (!is_set) continue;
    return InvalidField(field, "expected nothing beside a reranker");
  }
  return absl::OkStatus();
}

absl::Status CheckMembers(const lm::v1::Reranker& reranker,
                          const Limits& limits) {
  if (reranker.members().empty()) {
    return InvalidField("models", "expected a model, found none");
  }
  std::set<std::string> features;
  for (const lm::v1::RerankerMember& member : reranker.members()) {
    if (!features.insert(member.feature()).second) {
      return InvalidField("models", "expected every model once");
    }
  }
  return CheckLimit("models", features.size(), limits.models);
}

// Answers one request: asks the members, one after the other, for their
// features, and weighs.
class Reranking {
 public:
  Reranking(const ServingContext& serving, Call& call,
            const lm::v1::RerankRequest& request)
      : serving_(serving),
        call_(call),
        request_(request),
        table_(request.candidates_size()) {}

  Task<absl::Status> Answer(lm::v1::RerankResponse* response) {
    absl::Status status = FindReranker(response);
    if (status.ok()) status = CheckRequest();
    if (status.ok()) status = FindMembers(response);
    if (status.ok()) status = CheckSourceIsRead();
    if (status.ok()) {
      status = table_.AddOwnFeatures(request_.candidates(), serving_.limits);
    }
    for (size_t i = 0; status.ok() && i < members_.size(); ++i) {
      const lm::v1::RerankerMember& member =
          reranker_.members(static_cast<int>(i));
      if (IsBrought(member)) {
        table_.SetWeight(member.feature(), 1);
        continue;
      }
      Task<absl::Status> add = member.reverse()
                                   ? AddReverseFeature(member, members_[i])
                                   : AddFeatures(member, members_[i]);
      status = co_await add;
    }
    if (status.ok()) {
      status = Prefixed(prefix_, table_.SetWeights(reranker_.weights()));
    }
    if (status.ok()) status = co_await FindValues();
    if (status.ok()) Rank(response);
    co_return status;
  }

 private:
  // Sets the reranker: the one that is told, or named.
  absl::Status FindReranker(lm::v1::RerankResponse* response) {
    served_ = serving_.store.served();
    if (request_.reranker().empty()) {
      reranker_ = TakeReranker(request_);
      return absl::OkStatus();
    }
    absl::Status status = CheckTellsNone(request_);
    if (!status.ok()) return status;
    const absl::StatusOr<ModelHandle> named =
        served_->GetReranker(request_.reranker());
    if (!named.ok()) return Prefixed("reranker: ", named.status());
    reranker_ = (*named)->reranker();
    prefix_ = absl::StrCat("reranker '", request_.reranker(), "': ");
    SetModel(**named, response->mutable_reranker());
    return absl::OkStatus();
  }

  absl::Status CheckRequest() const {
    absl::Status status = CheckMembers(reranker_, serving_.limits);
    if (status.ok()) status = CheckWeighting(reranker_);
    if (!status.ok()) return Prefixed(prefix_, status);
    if (request_.candidates().empty()) {
      return InvalidField("candidates", "expected a candidate, found none");
    }
    return CheckLimit("candidates", request_.candidates_size(),
                      serving_.limits.texts);
  }

  absl::Status FindMembers(lm::v1::RerankResponse* response) {
    for (const lm::v1::RerankerMember& member : reranker_.members()) {
      absl::StatusOr<ModelHandle> handle = served_->Get(member.model());
      if (!handle.ok()) return Prefixed(prefix_, handle.status());
      absl::Status status;
      if (member.reverse()) {
        status = CheckHasSource("reverse_models", **handle, true);
      }
      if (!status.ok()) return Prefixed(prefix_, status);
      SetModel(**handle, response->add_models());
      members_.push_back(*std::move(handle));
    }
    served_.reset();  // what else is served may go while this call runs
    return absl::OkStatus();
  }

  // Whether the candidates have themselves what a member would give them.
  bool IsBrought(const lm::v1::RerankerMember& member) const {
    return !request_.reranker().empty() &&
           request_.candidates(0).features().contains(member.feature());
  }

  // A source that nothing reads is a mistake.
  absl::Status CheckSourceIsRead() const {
    if (!request_.has_source()) return absl::OkStatus();
    for (size_t i = 0; i < members_.size(); ++i) {
      if (reranker_.members(static_cast<int>(i)).reverse() ||
          members_[i]->model().kind() == ModelKind::kTranslation) {
        return absl::OkStatus();
      }
    }
    return InvalidField("source",
                        "no model is a translation model: expected no source, "
                        "found one");
  }

  double Divisor(double words) const {
    switch (reranker_.normalization()) {
      case lm::v1::MEAN:
        return words;
      case lm::v1::POWER:
        return std::pow(words, reranker_.alpha() == 0 ? 1 : reranker_.alpha());
      default:
        return 1;
    }
  }

  // The normalized ln P of a text. A divisor that is infinite, too, makes the
  // impossible no likelier; the log-probability of no words at all is 0.
  double Normalized(double log_prob, size_t words) const {
    if (std::isinf(log_prob) || words == 0) return log_prob;
    return log_prob / Divisor(static_cast<double>(words));
  }

  // The four features of one model.
  Task<absl::Status> AddFeatures(const lm::v1::RerankerMember& member,
                                 const ModelHandle& handle) {
    const LoadedVersion& loaded = *handle;
    const AnyModel& model = loaded.model();
    std::optional<EncodedTexts> sources;
    absl::Status status;
    if (model.kind() == ModelKind::kTranslation) {
      std::vector<const lm::v1::Text*> source;
      if (request_.has_source()) source.push_back(&request_.source());
      status =
          EncodeSources("source", loaded, serving_.limits, source, &sources);
    }
    EncodedTexts texts(model.vocabulary(), serving_.limits);
    for (int i = 0; status.ok() && i < request_.candidates_size(); ++i) {
      status =
          texts.Add(request_.candidates(i).text(), "candidates", i,
                    {.may_be_empty = true, .add_end = model.predicts_end()});
    }
    for (const char* suffix : {"", ".unknown", ".words", ".end"}) {
      if (!status.ok()) co_return status;
      status = table_.AddColumn(absl::StrCat(member.feature(), suffix),
                                suffix[0] == '\0' ? 1 : 0);
    }
    if (!status.ok()) co_return status;
    const absl::StatusOr<std::vector<ScoreCache::Score>> scores =
        co_await ScoreWholeTexts(serving_, call_, handle, texts,
                                 sources.has_value() ? &*sources : nullptr);
    if (!scores.ok()) co_return scores.status();
    for (size_t i = 0; i < texts.size(); ++i) {
      const absl::Span<const WordId> words = texts.words(i);
      table_.AddValue(i, Normalized((*scores)[i].log_prob, words.size()));
      table_.AddValue(i, std::count(words.begin(), words.end(),
                                    model.vocabulary().unknown()));
      table_.AddValue(i, words.size());
      table_.AddValue(i, (*scores)[i].end);
    }
    co_return absl::OkStatus();
  }

  // ln P(source | candidate) by one model: every candidate is a source, and of
  // each the request's source is the translation.
  Task<absl::Status> AddReverseFeature(const lm::v1::RerankerMember& member,
                                       const ModelHandle& handle) {
    const LoadedVersion& loaded = *handle;
    const AnyModel& model = loaded.model();
    absl::Status status;
    if (!request_.has_source()) {
      status = CheckHasSource("source", loaded, false);
    }
    if (!status.ok()) co_return status;
    EncodedTexts candidates(model.translation()->source_vocabulary(),
                            serving_.limits);
    EncodedTexts texts(model.vocabulary(), serving_.limits);
    for (int i = 0; status.ok() && i < request_.candidates_size(); ++i) {
      status = candidates.Add(request_.candidates(i).text(), "candidates", i,
                              {.may_be_empty = true});
      if (!status.ok()) co_return status;
      status = texts.Add(request_.source(), "source", -1, {.add_end = true});
    }
    if (status.ok()) status = table_.AddColumn(member.feature(), 1);
    if (!status.ok()) co_return status;
    const absl::StatusOr<std::vector<ScoreCache::Score>> scores =
        co_await ScoreWholeTexts(serving_, call_, handle, texts, &candidates);
    if (!scores.ok()) co_return scores.status();
    for (size_t i = 0; i < texts.size(); ++i) {
      table_.AddValue(i,
                      Normalized((*scores)[i].log_prob, texts.words(i).size()));
    }
    co_return absl::OkStatus();
  }

  // The words of ids, whose form is that of the first member.
  absl::Status FindWords(const lm::v1::WordIdList& ids,
                         std::string* text) const {
    const AnyModel& model = members_[0]->model();
    const Vocabulary& vocabulary =
        reranker_.members(0).reverse()
            ? model.translation()->source_vocabulary()
            : model.vocabulary();
    for (WordId id : ids.ids()) {
      if (id >= vocabulary.size()) {
        return absl::InvalidArgumentError(absl::StrCat(
            "expected ids below ", vocabulary.size(), ", found ", id));
      }
      absl::StrAppend(text, text->empty() ? "" : " ", vocabulary.word(id));
    }
    return absl::OkStatus();
  }

  // The candidates' texts with a space between words, whichever form they came
  // in.
  absl::StatusOr<std::vector<std::string>> FindTexts() const {
    std::vector<std::string> texts;
    uint64_t bytes = 0;
    for (int i = 0; i < request_.candidates_size(); ++i) {
      const lm::v1::Text& text = request_.candidates(i).text();
      std::string& found = texts.emplace_back(text.text());
      absl::Status status;
      if (text.has_words()) found = absl::StrJoin(text.words().words(), " ");
      if (text.has_ids()) status = FindWords(text.ids(), &found);
      if (!status.ok()) {
        return Prefixed(absl::StrCat("candidates[", i, "]: "), status);
      }
      bytes += found.size();
      status = CheckLimit("minimum_bayes_risk: bytes of the candidates", bytes,
                          kMostBytesCompared);
      if (!status.ok()) return status;
    }
    absl::Status status =
        CheckLimit("minimum_bayes_risk: candidates times their bytes",
                   bytes * texts.size(), serving_.limits.bytes_compared);
    if (!status.ok()) return status;
    return texts;
  }

  // What the candidates are ranked by: their scores or, by the minimum Bayes
  // risk, what they are worth.
  Task<absl::Status> FindValues() {
    for (size_t i = 0; i < table_.candidates(); ++i) {
      scores_.push_back(table_.Score(i));
    }
    values_ = scores_;
    if (!reranker_.has_minimum_bayes_risk()) co_return absl::OkStatus();
    const absl::StatusOr<std::vector<std::string>> texts = FindTexts();
    if (!texts.ok()) co_return texts.status();
    Task<absl::Status> find = FindUtilities(*texts);
    co_return co_await find;
  }

  // A few candidates at a time, as batches of the first member, so that others
  // have their turn between.
  Task<absl::Status> FindUtilities(const std::vector<std::string>& texts) {
    size_t bytes = 1;
    for (const std::string& text : texts) bytes += text.size();
    Budget::Reservation memory(serving_.budgets.state_bytes);
    absl::Status status = memory.Resize("minimum_bayes_risk: bytes in memory",
                                        bytes * kBytesCountedOfAByte);
    if (!status.ok()) co_return status;
    const lm::v1::MinimumBayesRisk& settings = reranker_.minimum_bayes_risk();
    std::optional<BayesRisk> risk;
    const auto count = [&] {
      risk.emplace(texts, scores_, settings.scale() == 0 ? 1 : settings.scale(),
                   settings.utility() == lm::v1::MinimumBayesRisk::CHRF
                       ? Utility::kChrf
                       : Utility::kBleu);
    };
    status = co_await serving_.batcher.Run(
        call_, *members_[0], bytes / kBytesComparedInAWord, count);
    const size_t most = std::max<size_t>(
        1, serving_.batcher.batch_words() * kBytesComparedInAWord / bytes);
    for (size_t begin = 0; status.ok() && begin < risk->size(); begin += most) {
      const size_t end = std::min(begin + most, risk->size());
      const auto rate = [&] {
        for (size_t i = begin; i < end; ++i) risk->Rate(i);
      };
      status = co_await serving_.batcher.Run(
          call_, *members_[0], (end - begin) * bytes / kBytesComparedInAWord,
          rate);
    }
    if (status.ok()) values_ = risk->utilities();
    co_return status;
  }

  void Rank(lm::v1::RerankResponse* response) const {
    std::vector<uint32_t> order(values_.size());
    std::iota(order.begin(), order.end(), 0u);
    std::stable_sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
      return values_[a] > values_[b];
    });
    if (request_.best() > 0) {
      order.resize(std::min<size_t>(request_.best(), order.size()));
    }
    response->mutable_feature_names()->Add(table_.names().begin(),
                                           table_.names().end());
    response->mutable_weights()->Add(table_.weights().begin(),
                                     table_.weights().end());
    for (uint32_t i : order) {
      lm::v1::RankedCandidate* candidate = response->add_candidates();
      candidate->set_index(i);
      candidate->set_score(scores_[i]);
      candidate->mutable_features()->Add(table_.row(i).begin(),
                                         table_.row(i).end());
      if (reranker_.has_minimum_bayes_risk()) {
        candidate->set_expected_utility(values_[i]);
      }
    }
  }

  const ServingContext& serving_;
  Call& call_;
  const lm::v1::RerankRequest& request_;
  std::shared_ptr<const ServedModels> served_;
  lm::v1::Reranker reranker_;
  std::string prefix_;  // of errors that are the reranker's
  std::vector<ModelHandle> members_;
  FeatureTable table_;
  std::vector<double> scores_, values_;  // of the candidates
};

}  // namespace

Task<absl::Status> Rerank(const ServingContext& serving, Call& call,
                          const lm::v1::RerankRequest& request,
                          lm::v1::RerankResponse* response) {
  Reranking reranking(serving, call, request);
  co_return co_await reranking.Answer(response);
}

}  // namespace lmserve
