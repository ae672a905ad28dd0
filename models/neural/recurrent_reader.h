// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NEURAL_RECURRENT_READER_H_
#define LMSERVE_MODELS_NEURAL_RECURRENT_READER_H_

#include <cstddef>
#include <optional>
#include <vector>

#include "absl/types/span.h"
#include "models/neural/recurrent_layer.h"

namespace lmserve {

// Runs recurrent layers over whole sentences of the same length, in one
// direction or in both. If bidirectional, each depth has two layers, and the
// next depth reads the concatenation of their states. Arrays have the shape
// (steps, rows, width), with one row for each sentence. Reuses its memory for
// the next call.
//
// Does not own the layers, which must outlive it. Not thread-safe.
class RecurrentReader {
 public:
  // If bidirectional, the layers alternate between forward and backward.
  RecurrentReader(absl::Span<const RecurrentLayer> layers, bool bidirectional);

  // The number of units of the last depth, in all directions.
  size_t outputs() const { return outputs_; }

  // Returns the states h of the last depth, (steps, rows, outputs), for the
  // inputs x (steps, rows, inputs). They are valid until the next call. Calls
  // `visit` with the values of the first row after each step of each layer.
  const std::vector<float>& Read(std::vector<float> x, size_t steps,
                                 size_t rows,
                                 std::optional<StepVisit> visit = {});

  // The state of a layer after its last step, (rows, units): at the end of the
  // sentences or, for a backward layer, at their start. c is empty unless the
  // layer is an LSTM.
  struct State {
    std::vector<float> h, c;
  };
  const State& last(size_t layer) const { return last_[layer]; }

 private:
  void ReadDirection(size_t layer, float* y, size_t width,
                     std::optional<StepVisit> visit);

  const absl::Span<const RecurrentLayer> layers_;
  const size_t directions_;
  size_t outputs_ = 0;

  size_t steps_ = 0;
  size_t rows_ = 0;
  std::vector<float> x_, y_;  // the inputs and the outputs of a depth
  std::vector<float> projected_;
  std::vector<State> last_;
  RecurrentLayer::Scratch scratch_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_RECURRENT_READER_H_
