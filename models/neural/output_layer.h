// SPDX-License-Identifier: Apache-2.0
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

// The word ids at which the classes of an output layer begin: class 0 has the
// words below cutoffs[0], class i has the words [cutoffs[i - 1], cutoffs[i]),
// and the last class has the rest. Words have ids in order of descending
// frequency. Without cutoffs there is one class, the full softmax.
//
// With cutoffs, the output layer is an adaptive softmax (Grave et al. 2017)
// whose tails have as many features as the head:
//   P(w) = softmax(head)_w                           if w < cutoffs[0]
//   P(w) = softmax(head)_class(w) softmax(tail)_w    otherwise
// The head has one output for each word of class 0, then one for each other
// class. The tail of a class has one output for each of its words.
using Cutoffs = std::vector<WordId>;

// Computes ln P(w) of words w from the features x that a network computes from
// the context: the log-softmax of the logits W x + b. Score() computes the
// logits in blocks and never stores a whole distribution.
//
// Owns its weights. Immutable: any number of threads may use one instance.
class OutputLayer {
 public:
  struct Weights {
    WeightMatrix words;                  // (V, features)
    absl::Span<const float> bias;        // (V); -infinity: never predicted
    Cutoffs cutoffs;                     // ascending, 0 < each < V
    WeightMatrix classes;                // (cutoffs, features), or empty
    absl::Span<const float> class_bias;  // (cutoffs)
  };

  // Packs a copy of the weights. Fails as Linear::Create() does.
  static absl::StatusOr<OutputLayer> Create(const Weights& weights);

  OutputLayer(OutputLayer&&) = default;
  OutputLayer& operator=(OutputLayer&&) = default;

  size_t features() const { return features_; }
  WordId size() const { return size_; }

  // The words to score with one row of features, and the array that receives
  // their log-probabilities.
  struct Targets {
    absl::Span<const WordId> words;
    float* log_probs;
  };

  // Scores the target words of each row of x (rows.size(), features).
  void Score(const float* x, absl::Span<const Targets> rows) const;

  // Writes ln P of all words for each row of x (rows, features), as a row-major
  // matrix of shape (rows, V).
  void Distribution(const float* x, size_t rows, float* log_probs) const;

 private:
  // A range of consecutive outputs of a class, small enough for the cache.
  struct Block {
    std::unique_ptr<const Linear> linear;
    size_t begin;  // index of its first output within the class
  };
  // A class, which is a softmax over its outputs: one for each of its words
  // and, in class 0, one more for each other class.
  struct Class {
    WordId begin;
    WordId end;
    std::vector<Block> blocks;
  };
  // A request to add the log-probability of an output of a class to *log_prob.
  struct Wanted {
    size_t row;
    size_t output;
    float* log_prob;
  };

  OutputLayer() = default;

  absl::Status AddClass(const Weights& weights, WordId begin, WordId end);
  // Adds blocks for the outputs with these weights. The first of them has the
  // index first_output within the class.
  static absl::Status AddBlocks(const WeightMatrix& weights,
                                absl::Span<const float> bias,
                                size_t first_output, Class* to);

  size_t ClassOf(WordId word) const;
  // Returns the index, within class 0, of the output for another class.
  size_t ClassOutput(size_t other) const { return classes_[0].end + other - 1; }

  std::vector<std::vector<Wanted>> SortByClass(
      absl::Span<const Targets> rows) const;
  void ScoreClass(const Class& which, const float* x,
                  absl::Span<const Wanted> wanted) const;
  // Scores outputs of one class. `rows` has the shape (row_begin.size() - 1,
  // features); the requests for row r are wanted[row_begin[r]] up to, but not
  // including, wanted[row_begin[r + 1]].
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
