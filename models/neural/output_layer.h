#ifndef LMSERVE_MODELS_NEURAL_OUTPUT_LAYER_H_
#define LMSERVE_MODELS_NEURAL_OUTPUT_LAYER_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "models/neural/linear.h"
#include "models/vocabulary.h"

namespace lmserve {

// Where the classes of an output layer begin: words are numbered by falling
// frequency, class i has the words [cutoffs[i - 1], cutoffs[i]). Empty: one
// class, the full softmax.
//
// With cutoffs it is the adaptive softmax (Grave et al. 2017) with tails as
// wide as the head:
//   P(w) = softmax(head)_w                        for w < cutoffs[0]
//   P(w) = softmax(head)_class(w) softmax(tail)_w  for others
// where the head has the words of class 0, then an output for each other class.
using Cutoffs = std::vector<WordId>;

// ln P of words from the features that a network makes of their context: the
// logits W x + b, normalised. Never holds more than a block of a distribution,
// unless it is asked for one. Immutable: any number of threads may use one at a
// time.
class OutputLayer {
 public:
  struct Weights {
    WeightMatrix words;                  // (V, features)
    absl::Span<const float> bias;        // (V); -infinity: never predicted
    Cutoffs cutoffs;                     // rising, 0 < each < V
    WeightMatrix classes;                // (cutoffs, features); else empty
    absl::Span<const float> class_bias;  // (cutoffs)
  };

  // Packs a copy of the weights. Fails with INTERNAL where Linear does.
  static absl::StatusOr<OutputLayer> Create(const Weights& weights);

  OutputLayer(OutputLayer&&) = default;
  OutputLayer& operator=(OutputLayer&&) = default;

  size_t features() const { return features_; }
  WordId size() const { return size_; }

  // The words to score after one row of features, and where ln P of them goes.
  struct Targets {
    absl::Span<const WordId> words;
    float* log_probs;
  };

  // Scores some words after each row of x (rows, features).
  void Score(const float* x, absl::Span<const Targets> rows) const;

  // Writes ln P of all words: (rows, V).
  void Distribution(const float* x, size_t rows, float* log_probs) const;

 private:
  // Some neighbouring outputs of a class, small enough for the caches.
  struct Block {
    std::unique_ptr<const Linear> linear;
    size_t begin;  // the number of its first output within the class
  };
  // A softmax of its own. Its outputs are its words; those of class 0 are
  // followed by one for each other class.
  struct Class {
    WordId begin;
    WordId end;
    std::vector<Block> blocks;
  };
  // An output that is asked for, and what its ln P is added to.
  struct Wanted {
    size_t row;
    size_t output;
    float* log_prob;
  };

  OutputLayer() = default;

  absl::Status AddClass(const Weights& weights, WordId begin, WordId end);
  // Adds blocks of some outputs, the first of which has that number.
  static absl::Status AddBlocks(const WeightMatrix& weights,
                                absl::Span<const float> bias,
                                size_t first_output, Class* to);

  size_t ClassOf(WordId word) const;
  // The number, in class 0, of the output for another class.
  size_t ClassOutput(size_t other) const { return classes_[0].end + other - 1; }

  std::vector<std::vector<Wanted>> SortByClass(
      absl::Span<const Targets> rows) const;
  void ScoreClass(const Class& which, const float* x,
                  absl::Span<const Wanted> wanted) const;
  // Scores rows (row_begin.size() - 1, features) of one class; row r wants
  // wanted[row_begin[r]] up to the next row's.
  void ScoreRows(const Class& which, const float* rows,
                 absl::Span<const size_t> row_begin,
                 absl::Span<const Wanted> wanted) const;
  void FillClass(size_t which, const float* x, size_t rows, float* log_probs,
                 std::vector<float>* class_log_probs) const;

  size_t features_ = 0;
  WordId size_ = 0;
  std::vector<Class> classes_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_OUTPUT_LAYER_H_
