#ifndef LMSERVE_MODELS_NEURAL_RECURRENT_READER_H_
#define LMSERVE_MODELS_NEURAL_RECURRENT_READER_H_

#include <cstddef>
#include <vector>

#include "absl/types/span.h"
#include "models/neural/recurrent_layer.h"

namespace lmserve {

// Reads whole sentences of one length side by side, in one direction or, where
// there are two layers for each depth, in both, whose states then go to the
// next depth together. Data are (steps, rows, width), a row a sentence. Keeps
// its memory for those that come after. One thread at a time; the layers must
// outlive it.
class RecurrentReader {
 public:
  // The layers of a bidirectional network are forward and backward by turns.
  RecurrentReader(absl::Span<const RecurrentLayer> layers, bool bidirectional);

  // Of the last depth, of both directions.
  size_t outputs() const { return outputs_; }

  // From the inputs x (steps, rows, inputs) the states of the last depth,
  // (steps, rows, outputs), which are valid until the next call.
  const std::vector<float>& Read(std::vector<float> x, size_t steps,
                                 size_t rows);

  // Of the sentences read, what a layer's state was in the end: (rows, units).
  // c is empty unless it is an LSTM.
  struct State {
    std::vector<float> h, c;
  };
  const State& last(size_t layer) const { return last_[layer]; }

 private:
  void ReadDirection(size_t layer, float* y, size_t width);

  const absl::Span<const RecurrentLayer> layers_;
  const size_t directions_;
  size_t outputs_ = 0;

  size_t steps_ = 0;
  size_t rows_ = 0;
  std::vector<float> x_, y_;  // of a depth, what it reads and what it makes
  std::vector<float> projected_;
  std::vector<State> last_;
  RecurrentLayer::Scratch scratch_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_RECURRENT_READER_H_
