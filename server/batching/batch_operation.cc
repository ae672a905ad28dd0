// SPDX-License-Identifier: Apache-2.0
#include "server/batching/batch_operation.h"

#include <algorithm>

namespace lmserve {
namespace {

// A text without words costs a word: its state is copied.
size_t Cost(const LanguageModel::Query& query) {
  return std::max<size_t>(1, query.words.size());
}

size_t SentenceCount(const ModelWork& work) {
  return work.tagged.size() + work.classified.size() + work.encoded.size();
}

// A sentence without words costs a word: models read markers.
size_t SentenceCost(const ModelWork& work, size_t i) {
  const size_t words = !work.tagged.empty() ? work.tagged[i].words.size()
                       : !work.classified.empty()
                           ? work.classified[i].words.size()
                           : work.encoded[i].words.size();
  return std::max<size_t>(1, words);
}

// How many words a state counts as. To score a word takes a few look-ups; to
// scan the vocabulary takes a fraction of a look-up for each of its words.
size_t StateCost(const ModelWork& work) {
  constexpr size_t kScannedInTheTimeOfAWord = 32;
  if (work.states.empty()) return 1;
  const LanguageModel& model = *work.model.model().word_by_word();
  const bool scans = work.visit.has_value() || !model.has_fast_top_k();
  if (!model.is_lookup() || !scans) return 1;
  return 1 + model.vocabulary().size() / kScannedInTheTimeOfAWord;
}

size_t Cost(const ModelWork& work, size_t state_cost) {
  size_t words = work.states.size() * state_cost;
  for (const LanguageModel::Query& query : work.queries) words += Cost(query);
  for (size_t i = 0; i < SentenceCount(work); ++i) {
    words += SentenceCost(work, i);
  }
  return words;
}

}  // namespace

BatchOperation::BatchOperation(Call& call, const ModelWork& work)
    : QueuedWork{call, &work.model, /*is_exclusive=*/false, /*words_left=*/0},
      work_(work),
      state_cost_(StateCost(work)) {
  words_left = Cost(work, state_cost_);
}

BatchOperation::BatchOperation(Call& call, const LoadedVersion& model,
                               size_t words, absl::FunctionRef<void()> work)
    : QueuedWork{call, &model, /*is_exclusive=*/true, words},
      work_({model}),
      exclusive_(work),
      state_cost_(1) {}

size_t BatchOperation::TakeQueries(size_t limit,
                                   std::vector<LanguageModel::Query>* batch) {
  size_t taken = 0;
  for (; query_ < work_.queries.size(); ++query_, word_ = 0) {
    LanguageModel::Query query = work_.queries[query_];
    const bool fits = Cost(query) - word_ <= limit - taken;
    // Two texts of a batch must not share the carried state.
    if (!fits && taken > 0) break;
    const size_t count = fits ? query.words.size() - word_ : limit;
    if (word_ > 0) query.state = carried_.data();
    query.words = query.words.subspan(word_, count);
    if (!query.log_probs.empty()) {
      query.log_probs = query.log_probs.subspan(word_, count);
    }
    if (!query.ngram_lengths.empty()) {
      query.ngram_lengths = query.ngram_lengths.subspan(word_, count);
    }
    taken += Cost(query);
    if (!fits) {
      carried_.resize(model().state_size());
      query.next_state = carried_.data();
      word_ += count;
    }
    batch->push_back(query);
    if (!fits) break;
  }
  words_left -= taken;
  return taken;
}

size_t BatchOperation::TakeSentences(size_t limit, bool batch_is_empty) {
  first_sentence_ = sentence_;
  size_t taken = 0;
  for (; sentence_ < SentenceCount(work_); ++sentence_) {
    const size_t cost = SentenceCost(work_, sentence_);
    const bool is_first = batch_is_empty && taken == 0;
    if (!is_first && taken + cost > limit) break;
    taken += cost;
  }
  words_left -= taken;
  return taken;
}

size_t BatchOperation::TakeStates(size_t limit, bool batch_is_empty) {
  first_state_ = state_;
  if (query_ < work_.queries.size()) return 0;
  const size_t fitting = std::max<size_t>(batch_is_empty, limit / state_cost_);
  const size_t taken = std::min(fitting, work_.states.size() - state_);
  state_ += taken;
  words_left -= taken * state_cost_;
  return taken * state_cost_;
}

void BatchOperation::RunExclusive() {
  (*exclusive_)();
  words_left = 0;
}

}  // namespace lmserve
