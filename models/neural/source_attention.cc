// SPDX-License-Identifier: Apache-2.0
#include "models/neural/source_attention.h"

#include <algorithm>
#include <utility>

#include "models/neural/kernels.h"

namespace lmserve {
namespace {

// y (n) += a x (n)
void AddScaled(float a, const float* x, size_t n, float* y) {
  for (size_t i = 0; i < n; ++i) y[i] += a * x[i];
}

}  // namespace

absl::StatusOr<SourceAttention> SourceAttention::Create(
    const Weights& weights) {
  SourceAttention attention;
  for (const auto& [matrix, linear] :
       {std::pair{&weights.key, &attention.key_},
        std::pair{&weights.context, &attention.context_},
        std::pair{&weights.state, &attention.state_}}) {
    auto made = Linear::Create(*matrix, {});
    if (!made.ok()) return made.status();
    *linear = *std::move(made);
  }
  return attention;
}

void SourceAttention::Precompute(const float* states, size_t steps,
                                 EncodedSource* source) const {
  const size_t units = state_->outputs();
  LinearScratch scratch;
  source->steps = steps;
  source->values.resize(steps * units);
  context_->Apply(states, steps, source->values.data(), &scratch);
  std::vector<float> keys(steps * units);
  key_->Apply(states, steps, keys.data(), &scratch);
  source->keys.resize(keys.size());
  for (size_t j = 0; j < steps; ++j) {
    for (size_t k = 0; k < units; ++k) {
      source->keys[k * steps + j] = keys[j * units + k];
    }
  }
}

// weights = softmax(sum_k h_k keys_k), with keys_k the row k of keys.
void SourceAttention::ComputeWeights(const EncodedSource& source,
                                     const float* h,
                                     absl::Span<float> weights) const {
  std::fill(weights.begin(), weights.end(), 0.0f);
  for (size_t k = 0; k < state_->outputs(); ++k) {
    AddScaled(h[k], source.keys.data() + k * source.steps, source.steps,
              weights.data());
  }
  SoftmaxInPlace(weights);
}

// y = tanh(sum_j weights_j values_j + W_h h)
void SourceAttention::Apply(absl::Span<const EncodedSource* const> sources,
                            std::vector<float>* rows) const {
  const size_t units = state_->outputs();
  std::vector<float> y(rows->size());
  LinearScratch scratch;
  state_->Apply(rows->data(), sources.size(), y.data(), &scratch);
  std::vector<float> weights;
  for (size_t r = 0; r < sources.size(); ++r) {
    const EncodedSource& source = *sources[r];
    weights.resize(source.steps);
    ComputeWeights(source, rows->data() + r * units, absl::MakeSpan(weights));
    for (size_t j = 0; j < source.steps; ++j) {
      AddScaled(weights[j], source.values.data() + j * units, units,
                y.data() + r * units);
    }
  }
  TanhInPlace(absl::MakeSpan(y));
  rows->swap(y);
}

}  // namespace lmserve
