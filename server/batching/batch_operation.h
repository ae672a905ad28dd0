// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_BATCHING_BATCH_OPERATION_H_
#define LMSERVE_SERVER_BATCHING_BATCH_OPERATION_H_

#include <coroutine>
#include <cstddef>
#include <optional>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "model_store/loaded_version.h"
#include "server/batching/work_queue.h"
#include "server/call/call.h"

namespace lmserve {

// What a call asks of a model: either something of one that reads word by word,
// or something about whole sentences, of one list of them. All spans are views
// of memory that must last until the work is done.
struct ModelWork {
  const LoadedVersion& model;

  // Sentences to tag. REQUIRES: the model is a tagger.
  absl::Span<const TaggerModel::Sentence> tagged = {};

  // Sentences to classify. REQUIRES: the model is a classifier.
  absl::Span<const ClassifierModel::Sentence> classified = {};

  // Sentences to encode, and how. REQUIRES: the model has a sentence encoder.
  absl::Span<const SentenceEncoder::Sentence> encoded = {};
  Pooling pooling = Pooling::kMean;

  // Texts to read and score. They come before states.
  absl::Span<const LanguageModel::Query> queries = {};

  // States after which something is wanted; the queries may write them.
  absl::Span<const std::byte* const> states = {};

  // Out: the attention of each state to the words of its source and </s>,
  // (states.size(), source words + 1); see TranslationModel::Attend. All
  // sources have the same length. Empty: not wanted.
  absl::Span<float> attention = {};

  // Out: the k best next words of each state, (states.size(), k).
  size_t k = 0;
  absl::Span<ScoredWord> best = {};

  // Gets, for one state after the other, the index of the state and ln P of
  // each word of the vocabulary.
  using Visit = absl::FunctionRef<void(size_t, absl::Span<const float>)>;
  std::optional<Visit> visit = {};
};

// The work that a call waits for, and how much of it is done. It lives in the
// awaiting coroutine, and ends with it. One thread at a time.
class BatchOperation : public QueuedWork {
 public:
  BatchOperation(Call& call, const ModelWork& work);

  // Other work, which costs about as much as `words` words of the model.
  BatchOperation(Call& call, const LoadedVersion& model, size_t words,
                 absl::FunctionRef<void()> work);

  // Appends the next queries, of at most `limit` words, to a batch; returns
  // their words. A text longer than the limit is cut; its rest is the next
  // query, which reads on from the state after the first part.
  size_t TakeQueries(size_t limit, std::vector<LanguageModel::Query>* batch);

  // Takes the next sentences, of at most `limit` words; returns their words. If
  // the batch is empty, takes at least one, whatever it counts as. A sentence
  // is not cut.
  size_t TakeSentences(size_t limit, bool batch_is_empty);

  // The part of a list of sentences that was taken last.
  // REQUIRES: the list is one of work().
  template <typename Sentence>
  absl::Span<const Sentence> Taken(absl::Span<const Sentence> sentences) const {
    if (sentences.empty()) return {};
    return sentences.subspan(first_sentence_, sentence_ - first_sentence_);
  }

  // Takes the next states, which count as at most `limit` words, if all queries
  // were taken; returns their words. If the batch is empty, takes at least one,
  // whatever it counts as.
  size_t TakeStates(size_t limit, bool batch_is_empty);

  // The states taken last are states [first_state(), end_state()) of the work.
  size_t first_state() const { return first_state_; }
  size_t end_state() const { return state_; }
  absl::Span<const std::byte* const> states() const {
    return work_.states.subspan(first_state_, state_ - first_state_);
  }

  // Does the work. REQUIRES: is_exclusive.
  void RunExclusive();

  const ModelWork& work() const { return work_; }

  // REQUIRES: the work has queries or states.
  const LanguageModel& model() const {
    return *work_.model.model().word_by_word();
  }

  // Whether the model answers by look-ups (LanguageModel::is_lookup).
  bool is_lookup() const {
    const LanguageModel* model = work_.model.model().word_by_word();
    return model != nullptr && model->is_lookup();
  }

  absl::Status status;
  std::coroutine_handle<> waiter;

 private:
  const ModelWork work_;
  const std::optional<absl::FunctionRef<void()>> exclusive_;
  const size_t state_cost_;    // of one state, in words
  size_t first_sentence_ = 0;  // of those that were taken last
  size_t sentence_ = 0;        // the next one
  size_t query_ = 0;           // the next one, from word_ on
  size_t word_ = 0;
  size_t first_state_ = 0;          // of those that were taken last
  size_t state_ = 0;                // the next one
  std::vector<std::byte> carried_;  // the state of a text that was cut
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_BATCHING_BATCH_OPERATION_H_
