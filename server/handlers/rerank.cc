// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/rerank.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model_store/reranker.h"
#include "models/printable_text.h"
#include "reranking/normalized_log_prob.h"
#include "server/call/status.h"
#include "server/handlers/candidate_risk.h"
#include "server/handlers/cannot_do.h"
#include "server/handlers/encoded_texts.h"
#include "server/handlers/feature_table.h"
#include "server/handlers/replies.h"
#include "server/handlers/sources.h"
#include "server/handlers/text_scoring.h"

namespace lmserve {
namespace {

using lm::v1::RerankerMember;
using lm::v1::RerankRequest;
using lm::v1::RerankResponse;

// Answers one request: gets the features of each member of the reranker, one
// member after the other, and ranks the candidates by them.
class Reranking {
 public:
  Reranking(const ServingContext& serving, Call& call,
            const RerankRequest& request)
      : serving_(serving),
        call_(call),
        request_(request),
        answer_(serving.budgets.answer_bytes),
        table_(request.candidates_size()) {}

  Task<absl::Status> Answer(RerankResponse* response);

 private:
  // Sets the reranker: the one that the request describes or names.
  absl::Status FindReranker(RerankResponse* response);

  // Checks the reranker and the number of candidates.
  absl::Status CheckRequest() const;

  // Finds the models of the members.
  absl::Status FindMembers(RerankResponse* response);

  // Whether the candidates have a feature of the name of a member's feature,
  // which is used in its place.
  bool IsGiven(const RerankerMember& member) const;

  // Fails if there is a source but no member that reads it.
  absl::Status CheckSourceIsRead() const;

  // Returns ln P of a text after the normalization of the reranker, with
  // kImpossibleWord for each impossible word.
  double Normalized(const ScoreCache::Score& score, size_t words) const;

  // Reserves the memory of all features, here and in the response.
  absl::Status ReserveAnswer();

  // Adds the features of all members.
  Task<absl::Status> AddMembers();

  // Adds the four features of a model.
  Task<absl::Status> AddFeatures(const RerankerMember& member,
                                 const ModelHandle& handle);

  // Adds ln P(source | candidate) by a translation model: it reads each
  // candidate as a source, and scores the request's source as its translation.
  Task<absl::Status> AddReverseFeature(const RerankerMember& member,
                                       const ModelHandle& handle);

  // Sets scores_ and values_.
  Task<absl::Status> FindValues();

  // The vocabulary of candidates that come as ids: that which the first member
  // reads them with.
  const Vocabulary& CandidateVocabulary() const;

  // Writes the candidates, the best first.
  void Rank(RerankResponse* response) const;

  const ServingContext& serving_;
  Call& call_;
  const RerankRequest& request_;
  std::shared_ptr<const ServedModels> served_;
  lm::v1::Reranker reranker_;
  std::string prefix_;  // of errors in a reranker that the request names
  std::vector<ModelHandle> members_;
  Budget::Reservation answer_;
  FeatureTable table_;
  std::vector<double> scores_;  // of the candidates
  // What the candidates are ranked by: their scores or, if the reranker says
  // so, their expected utilities (minimum Bayes risk).
  std::vector<double> values_;
};

// Returns the reranker that a request describes itself.
lm::v1::Reranker RerankerOf(const RerankRequest& request) {
  lm::v1::Reranker reranker;
  const auto add_members = [&](const auto& models, bool reverse) {
    for (const std::string& model : models) {
      RerankerMember& member = *reranker.add_members();
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

// Returns INVALID_ARGUMENT if a request that names a reranker describes one,
// too.
absl::Status CheckDescribesNone(const RerankRequest& request) {
  const std::pair<absl::string_view, bool> fields[] = {
      {"models", !request.models().empty()},
      {"reverse_models", !request.reverse_models().empty()},
      {"weights", !request.weights().empty()},
      {"normalization",
       request.normalization() != lm::v1::NORMALIZATION_UNSPECIFIED},
      {"alpha", request.alpha() != 0},
      {"minimum_bayes_risk", request.has_minimum_bayes_risk()}};
  for (const auto& [field, is_set] : fields) {
    if (!is_set) continue;
    return InvalidField(field, "expected no value beside reranker");
  }
  return absl::OkStatus();
}

absl::Status CheckMembers(const lm::v1::Reranker& reranker,
                          const Limits& limits) {
  if (reranker.members().empty()) {
    return InvalidField("models", "expected a model, found none");
  }
  std::set<std::string> features;
  for (const RerankerMember& member : reranker.members()) {
    if (!features.insert(member.feature()).second) {
      return InvalidField("models",
                          absl::StrCat("expected each model once, found '",
                                       Printable(member.feature()), "' twice"));
    }
  }
  return CheckLimit("models", features.size(), limits.models);
}

Task<absl::Status> Reranking::Answer(RerankResponse* response) {
  absl::Status status = FindReranker(response);
  if (status.ok()) status = CheckRequest();
  if (status.ok()) status = FindMembers(response);
  if (status.ok()) status = CheckSourceIsRead();
  if (status.ok()) {
    status = table_.AddOwnFeatures(request_.candidates(), serving_.limits);
  }
  if (status.ok()) status = ReserveAnswer();
  if (status.ok()) status = co_await AddMembers();
  if (status.ok()) {
    status = Prefixed(prefix_, table_.SetWeights(reranker_.weights()));
  }
  if (status.ok()) status = co_await FindValues();
  if (status.ok()) Rank(response);
  co_return status;
}

absl::Status Reranking::FindReranker(RerankResponse* response) {
  served_ = serving_.store.served();
  if (request_.reranker().empty()) {
    reranker_ = RerankerOf(request_);
    return absl::OkStatus();
  }
  absl::Status status = CheckDescribesNone(request_);
  if (!status.ok()) return status;
  const absl::StatusOr<ModelHandle> named =
      served_->GetReranker(request_.reranker());
  if (!named.ok()) {
    NoteMissing(request_.reranker(), call_);
    return Prefixed("reranker: ", named.status());
  }
  reranker_ = (*named)->reranker();
  prefix_ = absl::StrCat("reranker '", request_.reranker(), "': ");
  SetModelVersion(**named, response->mutable_reranker());
  NoteModel(**named, call_);
  return absl::OkStatus();
}

absl::Status Reranking::CheckRequest() const {
  absl::Status status = CheckMembers(reranker_, serving_.limits);
  if (status.ok()) status = CheckWeighting(reranker_);
  if (!status.ok()) return Prefixed(prefix_, status);
  if (request_.candidates().empty()) {
    return InvalidField("candidates", "expected a candidate, found none");
  }
  return CheckLimit("candidates", request_.candidates_size(),
                    serving_.limits.texts);
}

absl::Status Reranking::FindMembers(RerankResponse* response) {
  for (const RerankerMember& member : reranker_.members()) {
    absl::StatusOr<ModelHandle> handle = served_->Get(member.model());
    if (!handle.ok()) {
      if (request_.reranker().empty()) NoteMissing(member.model(), call_);
      return Prefixed(prefix_, handle.status());
    }
    absl::Status status = CheckScoresTexts(
        member.reverse() ? "reverse_models" : "models", **handle, "rerank");
    if (status.ok() && member.reverse() &&
        (*handle)->model().kind() != ModelKind::kTranslation) {
      status = InvalidField(
          "reverse_models",
          absl::StrCat("expected translation models, found '", member.model(),
                       "', which does not translate"));
    }
    if (!status.ok()) return Prefixed(prefix_, status);
    SetModelVersion(**handle, response->add_models());
    if (members_.empty() && request_.reranker().empty()) {
      NoteModel(**handle, call_);
    }
    members_.push_back(*std::move(handle));
  }
  served_.reset();  // other models may be unloaded while this call runs
  return absl::OkStatus();
}

bool Reranking::IsGiven(const RerankerMember& member) const {
  return !request_.reranker().empty() &&
         request_.candidates(0).features().contains(member.feature());
}

absl::Status Reranking::CheckSourceIsRead() const {
  if (!request_.has_source()) return absl::OkStatus();
  for (size_t i = 0; i < members_.size(); ++i) {
    if (reranker_.members(static_cast<int>(i)).reverse() ||
        members_[i]->model().kind() == ModelKind::kTranslation) {
      return absl::OkStatus();
    }
  }
  return InvalidField(
      "source",
      "expected no source without a translation model, found a source");
}

double Reranking::Normalized(const ScoreCache::Score& score,
                             size_t words) const {
  double alpha = 0;
  if (reranker_.normalization() == lm::v1::NORMALIZATION_MEAN) alpha = 1;
  if (reranker_.normalization() == lm::v1::NORMALIZATION_POWER) {
    alpha = reranker_.alpha() == 0 ? 1 : reranker_.alpha();
  }
  return NormalizedLogProb(score.log_prob, score.impossible, words, alpha);
}

absl::Status Reranking::ReserveAnswer() {
  constexpr uint64_t kCandidateBytes = 200;  // beside its features
  constexpr uint64_t kMostFeaturesOfAMember = 4;
  const uint64_t features =
      table_.names().size() + kMostFeaturesOfAMember * members_.size();
  return answer_.Resize("answer bytes",
                        request_.candidates_size() *
                            (kCandidateBytes + 2 * sizeof(double) * features));
}

Task<absl::Status> Reranking::AddMembers() {
  for (size_t i = 0; i < members_.size(); ++i) {
    const RerankerMember& member = reranker_.members(static_cast<int>(i));
    if (IsGiven(member)) {
      table_.SetWeight(member.feature(), 1);
      continue;
    }
    Task<absl::Status> add = member.reverse()
                                 ? AddReverseFeature(member, members_[i])
                                 : AddFeatures(member, members_[i]);
    absl::Status status = co_await add;
    if (!status.ok()) co_return status;
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Reranking::AddFeatures(const RerankerMember& member,
                                          const ModelHandle& handle) {
  const LoadedVersion& loaded = *handle;
  const AnyModel& model = loaded.model();
  std::optional<EncodedTexts> sources;
  absl::Status status;
  if (model.kind() == ModelKind::kTranslation) {
    std::vector<const lm::v1::Text*> source;
    if (request_.has_source()) source.push_back(&request_.source());
    status = EncodeSources("source", loaded, serving_.limits, source, &sources);
  }
  EncodedTexts texts(model.vocabulary(), serving_.limits);
  for (int i = 0; status.ok() && i < request_.candidates_size(); ++i) {
    status = texts.Add(request_.candidates(i).text(), "candidates", i,
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
    table_.AddValue(i, Normalized((*scores)[i], words.size()));
    table_.AddValue(i, std::count(words.begin(), words.end(),
                                  model.vocabulary().unknown()));
    table_.AddValue(i, words.size());
    const float end = (*scores)[i].end;
    table_.AddValue(i, std::isinf(end) ? kImpossibleWord : end);
  }
  co_return absl::OkStatus();
}

Task<absl::Status> Reranking::AddReverseFeature(const RerankerMember& member,
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
    table_.AddValue(i, Normalized((*scores)[i], texts.words(i).size()));
  }
  co_return absl::OkStatus();
}

const Vocabulary& Reranking::CandidateVocabulary() const {
  const AnyModel& model = members_[0]->model();
  return reranker_.members(0).reverse()
             ? model.translation()->source_vocabulary()
             : model.vocabulary();
}

Task<absl::Status> Reranking::FindValues() {
  for (size_t i = 0; i < table_.candidates(); ++i) {
    scores_.push_back(table_.Score(i));
  }
  if (!reranker_.has_minimum_bayes_risk()) {
    values_ = scores_;
    co_return absl::OkStatus();
  }
  absl::StatusOr<std::vector<double>> utilities = co_await CandidateUtilities(
      serving_, call_, *members_[0], CandidateVocabulary(),
      request_.candidates(), scores_, reranker_.minimum_bayes_risk());
  if (!utilities.ok()) co_return utilities.status();
  values_ = *std::move(utilities);
  co_return absl::OkStatus();
}

void Reranking::Rank(RerankResponse* response) const {
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

}  // namespace

Task<absl::Status> HandleRerank(const ServingContext& serving, Call& call,
                                const RerankRequest& request,
                                RerankResponse* response) {
  Reranking reranking(serving, call, request);
  co_return co_await reranking.Answer(response);
}

}  // namespace lmserve
