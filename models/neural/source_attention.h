#ifndef LMSERVE_MODELS_NEURAL_SOURCE_ATTENTION_H_
#define LMSERVE_MODELS_NEURAL_SOURCE_ATTENTION_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "models/neural/linear.h"

namespace lmserve {

// What a decoder knows of a source: all of it follows from the encoder's states
// and is computed once.
struct EncodedSource {
  // The decoder's state, as of a RecurrentModel, when <s> was read.
  std::vector<float> start;
  // What the encoder's last state adds to the first layer's gates at each step;
  // empty: nothing.
  std::vector<float> gates;
  // Of attention: (units, steps) and (steps, units).
  size_t steps = 0;
  std::vector<float> keys, values;
};

// Global attention (Luong et al. 2015, "general"): a decoder's state h looks at
// all states s_j of the encoder,
//   a_j = softmax_j(h^T W_a s_j)     y = tanh(W_c sum_j a_j s_j + W_h h)
// The products W_a s_j and W_c s_j are those of the source. Immutable: any
// number of threads may use one at a time.
class SourceAttention {
 public:
  struct Weights {
    WeightMatrix key;      // W_a (units, encoder's outputs)
    WeightMatrix context;  // W_c (units, encoder's outputs)
    WeightMatrix state;    // W_h (units, units)
  };

  // Packs a copy of the weights. Fails with INTERNAL where Linear does.
  static absl::StatusOr<SourceAttention> Create(const Weights& weights);

  // Sets what attention needs to know of the encoder's states, (steps,
  // outputs).
  void Read(const float* states, size_t steps, EncodedSource* source) const;

  // Sets weights, source.steps of them, to the a_j of one h (units).
  void Look(const EncodedSource& source, const float* h,
            absl::Span<float> weights) const;

  // Sets each row h of (sources.size(), units), that looks at its own source,
  // to its y.
  void Apply(absl::Span<const EncodedSource* const> sources,
             std::vector<float>* rows) const;

 private:
  SourceAttention() = default;

  std::unique_ptr<const Linear> key_, context_, state_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_SOURCE_ATTENTION_H_
