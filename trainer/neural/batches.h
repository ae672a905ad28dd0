#ifndef LMSERVE_TRAINER_NEURAL_BATCHES_H_
#define LMSERVE_TRAINER_NEURAL_BATCHES_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/types/span.h"
#include "models/vocabulary.h"
#include "trainer/neural/network.h"
#include "trainer/text/sentence_pair.h"

namespace lmserve {

// The batches of a text, any of them at any time, so that training can go on in
// the middle of an epoch. Reading is thread-safe, StartEpoch() is not.
class BatchSource {
 public:
  virtual ~BatchSource() = default;

  // Sets the order of the batches, which follows from seed and epoch.
  virtual void StartEpoch(uint64_t epoch) = 0;

  // Batches in an epoch.
  virtual size_t size() const = 0;

  // Batch i < size().
  virtual Batch Get(size_t i) const = 0;
};

// How much goes into a batch.
struct BatchOptions {
  size_t streams = 20;  // texts beside each other, at most
  size_t steps = 35;    // words of each; of whole sentences the mean bound
  uint64_t seed = 1;
};

// A text as one stream, cut into options.streams pieces that are read beside
// each other, options.steps words at a time; each batch goes on where the one
// before ended (truncated back-propagation through time). The last pieces may
// be shorter: nothing is to be predicted after them. The words are those of a
// Corpus; their <s> are left out, and `end` (</s>) stands before the first.
std::unique_ptr<BatchSource> MakeStreamBatches(absl::Span<const WordId> words,
                                               WordId begin, WordId end,
                                               const BatchOptions& options);

// Whole sentences, those of one batch of one length, in random order: at most
// options.streams of them and options.streams * options.steps words. The words
// are <s> w1 ... wm </s> <s> ..., as in Corpus.
std::unique_ptr<BatchSource> MakeSentenceBatches(absl::Span<const WordId> words,
                                                 WordId begin, WordId end,
                                                 const BatchOptions& options);

// The same for a network that reads both sides: some words of each sentence, at
// least one, are replaced by `blank`, and are what is to be predicted.
std::unique_ptr<BatchSource> MakeClozeBatches(absl::Span<const WordId> words,
                                              WordId begin, WordId end,
                                              WordId blank,
                                              const BatchOptions& options);

struct TranslationBatchOptions {
  BatchOptions batches;         // of their streams: pairs in a batch, at most
  WordId begin = 0, end = 0;    // <s> and </s> of the translation
  WordId source_end = 0;        // </s> of the source
  bool reverse_source = false;  // its words come last to first, then </s>
};

// Pairs whose sources have one length, in random order; the shorter
// translations of a batch have no targets at their ends.
std::unique_ptr<BatchSource> MakeTranslationBatches(
    std::vector<SentencePair> pairs, const TranslationBatchOptions& options);

// Every word of the sentences with the `window` words before it, <s> where the
// sentence has none, in random order, options.streams at a time.
std::unique_ptr<BatchSource> MakeWindowBatches(absl::Span<const WordId> words,
                                               WordId begin, size_t window,
                                               const BatchOptions& options);

// Divides the streams of a batch into `parts` neighbouring ones.
std::vector<Batch> SplitBatch(const Batch& batch, size_t parts);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_BATCHES_H_
