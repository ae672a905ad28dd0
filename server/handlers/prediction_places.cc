// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/prediction_places.h"

#include <algorithm>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"

namespace lmserve {
namespace {

// Writes the best of the words, in the order of Likelier(), to the span.
void TakeBest(std::vector<ScoredWord>& words, absl::Span<ScoredWord> best) {
  std::partial_sort_copy(words.begin(), words.end(), best.begin(), best.end(),
                         Likelier);
}

// The places after contexts.
class Contexts final : public PredictionPlaces {
 public:
  Contexts(const ServingContext& serving, Call& call,
           const LoadedVersion& loaded, const EncodedTexts& texts)
      : serving_(serving), call_(call), loaded_(loaded) {
    const LanguageModel& model = *loaded.model().left_to_right();
    start_.resize(model.state_size());
    model.Start(start_.data());
    bytes_.resize(texts.size() * model.state_size());
    for (size_t i = 0; i < texts.size(); ++i) {
      std::byte* row = bytes_.data() + i * model.state_size();
      states_.push_back(row);
      contexts_.push_back({start_.data(), texts.words(i), row, {}});
    }
  }

  Task<absl::StatusOr<std::vector<ScoredWord>>> Best(size_t k) override {
    std::vector<ScoredWord> best(states_.size() * k);
    const ModelWork work = {.model = loaded_,
                            .queries = contexts_,
                            .states = states_,
                            .k = k,
                            .best = absl::MakeSpan(best)};
    absl::Status status = co_await serving_.batcher.Run(call_, work);
    if (!status.ok()) co_return status;
    co_return best;
  }

  Task<absl::StatusOr<std::vector<ScoredWord>>> BestOf(
      absl::Span<const WordId> words, size_t k) override {
    std::vector<ScoredWord> best(states_.size() * k);
    std::vector<ScoredWord> rated(words.size());
    const auto visit = [&](size_t i, absl::Span<const float> log_probs) {
      for (size_t j = 0; j < words.size(); ++j) {
        rated[j] = {words[j], log_probs[words[j]]};
      }
      TakeBest(rated, absl::MakeSpan(best).subspan(i * k, k));
    };
    const ModelWork work = {.model = loaded_,
                            .queries = contexts_,
                            .states = states_,
                            .visit = visit};
    absl::Status status = co_await serving_.batcher.Run(call_, work);
    if (!status.ok()) co_return status;
    co_return best;
  }

  Task<absl::StatusOr<std::vector<float>>> Rate(
      absl::Span<const WordId> words) override {
    const ModelWork contexts = {.model = loaded_, .queries = contexts_};
    absl::Status status = co_await serving_.batcher.Run(call_, contexts);
    if (!status.ok()) co_return status;
    std::vector<float> log_probs(states_.size() * words.size());
    std::vector<LanguageModel::Query> batch;
    batch.reserve(log_probs.size());
    for (size_t i = 0; i < log_probs.size(); ++i) {
      batch.push_back({states_[i / words.size()],
                       words.subspan(i % words.size(), 1),
                       nullptr,
                       {&log_probs[i], 1}});
    }
    const ModelWork work = {.model = loaded_, .queries = batch};
    status = co_await serving_.batcher.Run(call_, work);
    if (!status.ok()) co_return status;
    co_return log_probs;
  }

 private:
  const ServingContext& serving_;
  Call& call_;
  const LoadedVersion& loaded_;
  std::vector<std::byte> start_;
  std::vector<std::byte> bytes_;  // (contexts, state_size)
  std::vector<const std::byte*> states_;
  std::vector<LanguageModel::Query> contexts_;
};

// The gaps between contexts and suffixes.
class Gaps final : public PredictionPlaces {
 public:
  Gaps(const ServingContext& serving, Call& call, const LoadedVersion& loaded,
       const EncodedTexts& texts, size_t contexts)
      : serving_(serving), call_(call), loaded_(loaded) {
    const bool suffixes = texts.size() > contexts;
    for (size_t i = 0; i < contexts; ++i) {
      gaps_.push_back({texts.words(i), {}});
      if (suffixes) gaps_.back().after = texts.words(contexts + i);
    }
  }

  Task<absl::StatusOr<std::vector<ScoredWord>>> Best(size_t k) override {
    std::vector<ScoredWord> best(gaps_.size() * k);
    absl::Status status = co_await ForEachGap([&](size_t i) {
      model().Fill({&gaps_[i], 1}, k, absl::MakeSpan(best).subspan(i * k, k));
    });
    if (!status.ok()) co_return status;
    co_return best;
  }

  Task<absl::StatusOr<std::vector<ScoredWord>>> BestOf(
      absl::Span<const WordId> words, size_t k) override {
    std::vector<ScoredWord> best(gaps_.size() * k);
    std::vector<ScoredWord> rated(words.size());
    std::vector<float> log_probs(words.size());
    absl::Status status = co_await ForEachGap([&](size_t i) {
      model().Rate({&gaps_[i], 1}, words, log_probs.data());
      for (size_t j = 0; j < words.size(); ++j) {
        rated[j] = {words[j], log_probs[j]};
      }
      TakeBest(rated, absl::MakeSpan(best).subspan(i * k, k));
    });
    if (!status.ok()) co_return status;
    co_return best;
  }

  Task<absl::StatusOr<std::vector<float>>> Rate(
      absl::Span<const WordId> words) override {
    std::vector<float> log_probs(gaps_.size() * words.size());
    absl::Status status = co_await ForEachGap([&](size_t i) {
      model().Rate({&gaps_[i], 1}, words, &log_probs[i * words.size()]);
    });
    if (!status.ok()) co_return status;
    co_return log_probs;
  }

 private:
  const BidirectionalModel& model() const {
    return *loaded_.model().bidirectional();
  }

  // Visits one gap at a time, so that other calls have their turn in between.
  Task<absl::Status> ForEachGap(absl::FunctionRef<void(size_t)> visit) {
    for (size_t i = 0; i < gaps_.size(); ++i) {
      const auto work = [&] { visit(i); };
      absl::Status status = co_await serving_.batcher.Run(
          call_, loaded_, gaps_[i].before.size() + gaps_[i].after.size() + 1,
          work);
      if (!status.ok()) co_return status;
    }
    co_return absl::OkStatus();
  }

  const ServingContext& serving_;
  Call& call_;
  const LoadedVersion& loaded_;
  std::vector<BidirectionalModel::Gap> gaps_;
};

}  // namespace

std::unique_ptr<PredictionPlaces> MakePredictionPlaces(
    const ServingContext& serving, Call& call, const LoadedVersion& loaded,
    const EncodedTexts& texts, size_t contexts) {
  if (loaded.model().kind() == ModelKind::kBidirectional) {
    return std::make_unique<Gaps>(serving, call, loaded, texts, contexts);
  }
  return std::make_unique<Contexts>(serving, call, loaded, texts);
}

}  // namespace lmserve
