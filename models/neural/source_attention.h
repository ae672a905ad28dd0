// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NEURAL_SOURCE_ATTENTION_H_
#define LMSERVE_MODELS_NEURAL_SOURCE_ATTENTION_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "models/neural/linear.h"

namespace lmserve {

// A source sentence as the decoder uses it. It is computed once from the states
// of the encoder.
struct EncodedSource {
  // The state of the decoder, a RecurrentModel, after <s>.
  std::vector<float> start;
  // The product of the encoder's last state that is added to the gates of the
  // decoder's first layer at each step. Empty if the model has none.
  std::vector<float> gates;
  // For attention: the number of encoder states s_j, the keys W_a s_j (units,
  // steps) and the values W_c s_j (steps, units).
  size_t steps = 0;
  std::vector<float> keys, values;
};

// Global attention with the score "general" (Luong et al. 2015). A decoder
// state h attends to all encoder states s_j:
//   a_j = softmax_j(h^T W_a s_j)     y = tanh(W_c sum_j a_j s_j + W_h h)
// The products W_a s_j and W_c s_j do not depend on h, and are computed once
// for each source.
//
// Owns its packed weights. Immutable: any number of threads may use one
// instance.
class SourceAttention {
 public:
  struct Weights {
    WeightMatrix key;      // W_a (units, encoder outputs)
    WeightMatrix context;  // W_c (units, encoder outputs)
    WeightMatrix state;    // W_h (units, units)
  };

  // Packs a copy of the weights. Fails as Linear::Create() does.
  static absl::StatusOr<SourceAttention> Create(const Weights& weights);

  // Sets steps, keys and values of *source from the encoder states (steps,
  // encoder outputs).
  void Precompute(const float* states, size_t steps,
                  EncodedSource* source) const;

  // Computes the weights a_j of one decoder state h (units).
  // REQUIRES: weights.size() == source.steps.
  void ComputeWeights(const EncodedSource& source, const float* h,
                      absl::Span<float> weights) const;

  // Replaces each row h of `rows` (sources.size(), units) by its y. Row r
  // attends to sources[r].
  void Apply(absl::Span<const EncodedSource* const> sources,
             std::vector<float>* rows) const;

 private:
  SourceAttention() = default;

  std::unique_ptr<const Linear> key_, context_, state_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_SOURCE_ATTENTION_H_
