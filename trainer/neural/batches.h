// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NEURAL_BATCHES_H_
#define LMSERVE_TRAINER_NEURAL_BATCHES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "models/vocabulary.h"
#include "trainer/neural/network.h"
#include "trainer/text/labeled_text.h"
#include "trainer/text/sentence_pair.h"

namespace lmserve {

// The batches of a text. Batches can be read in any order, so training can be
// resumed in the middle of an epoch. size() and Get() are thread-safe;
// StartEpoch() is not.
class BatchSource {
 public:
  virtual ~BatchSource() = default;

  // Sets the batches of an epoch. They depend only on the seed and the epoch.
  virtual void StartEpoch(uint64_t epoch) = 0;

  // The number of batches in an epoch.
  virtual size_t size() const = 0;

  // Returns batch i. REQUIRES: i < size().
  virtual Batch Get(size_t i) const = 0;
};

struct BatchOptions {
  size_t streams = 20;  // maximum number of texts in a batch
  // Words of each text. For whole sentences, streams * steps limits the number
  // of words in a batch.
  size_t steps = 35;
  uint64_t seed = 1;
};

// Makes batches of a text as one stream, for truncated backpropagation through
// time. The text is cut into options.streams pieces that are read in parallel;
// each batch has the next options.steps words of every piece. Where the last
// pieces are shorter, the targets are kNoTarget. `words` are in the form of
// Corpus::words; <s> (`begin`) is removed, and the first input is </s> (`end`).
std::unique_ptr<BatchSource> MakeStreamBatches(absl::Span<const WordId> words,
                                               WordId begin, WordId end,
                                               const BatchOptions& options);

// Makes batches of whole sentences in random order. The sentences of a batch
// have the same length; there are at most options.streams of them with at most
// options.streams * options.steps words. `words` are in the form of
// Corpus::words.
std::unique_ptr<BatchSource> MakeSentenceBatches(absl::Span<const WordId> words,
                                                 WordId begin, WordId end,
                                                 const BatchOptions& options);

// Makes batches like MakeSentenceBatches() for a bidirectional network. Random
// words of each sentence, at least one, are replaced by `blank` in the inputs
// and are the targets.
std::unique_ptr<BatchSource> MakeClozeBatches(absl::Span<const WordId> words,
                                              WordId begin, WordId end,
                                              WordId blank,
                                              const BatchOptions& options);

struct TranslationBatchOptions {
  BatchOptions batches;       // streams: maximum number of pairs in a batch
  WordId begin = 0, end = 0;  // <s> and </s> of the translations
  WordId source_end = 0;      // </s> of the sources
  // The source is read from the last word to the first, then </s>.
  bool reverse_source = false;
};

// Makes batches of sentence pairs in random order. The sources of a batch have
// the same length. After the end of the shorter translations of a batch, the
// targets are kNoTarget.
std::unique_ptr<BatchSource> MakeTranslationBatches(
    std::vector<SentencePair> pairs, const TranslationBatchOptions& options);

struct LabeledBatchOptions {
  BatchOptions batches;
  WordId unknown = 0;  // <unk>
  // The probability, by word id, that <unk> is read in place of a word; empty:
  // 0 for all.
  std::vector<float> word_dropout = {};
};

// Makes batches of sentences with labels in random order. The sentences of a
// batch have the same length; their number is limited as in
// MakeSentenceBatches(). The targets are the labels, (steps, streams), or
// (streams) if a sentence has one label. All sentences have auxiliary labels,
// or none has. No sentence may be empty.
std::unique_ptr<BatchSource> MakeLabeledBatches(
    std::vector<LabeledIds> sentences, const LabeledBatchOptions& options);

// Makes batches of windows in random order, options.streams windows per batch.
// The inputs of a window are the `window` words before a target. Before the
// start of a sentence, they are <s> (`begin`).
std::unique_ptr<BatchSource> MakeWindowBatches(absl::Span<const WordId> words,
                                               WordId begin, size_t window,
                                               const BatchOptions& options);

// Splits a batch into `parts` batches of adjacent streams. If there are fewer
// streams than parts, some parts are empty.
std::vector<Batch> SplitBatch(const Batch& batch, size_t parts);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_BATCHES_H_
