// SPDX-License-Identifier: Apache-2.0
#include "trainer/neural/attention.h"

#include <string>

#include "models/neural/kernels.h"
#include "models/neural/translation_weights.h"
#include "trainer/neural/cell_gradients.h"

namespace lmserve {

template <typename T>
Attention<T>::Attention(size_t units, size_t source_units,
                        ParameterLayout* layout)
    : units_(units),
      source_units_(source_units),
      layout_(*layout),
      key_weight_(layout->AddMatrix(std::string(kAttentionKeyTensor), units,
                                    source_units)),
      context_weight_(layout->AddMatrix(std::string(kAttentionContextTensor),
                                        units, source_units)),
      state_weight_(layout->AddMatrix(std::string(kAttentionStateTensor), units,
                                      units)) {}

template <typename T>
const std::vector<T>& Attention<T>::Forward(const T* values,
                                            MatrixView<const T> h,
                                            MatrixView<const T> source,
                                            size_t streams) {
  h_ = h;
  source_ = source;
  streams_ = streams;
  keys_.resize(source.rows * units_);
  weights_.resize(h.rows * source.rows / streams);
  contexts_.resize(h.rows * source_units_);
  y_.resize(h.rows * units_);

  Gemm(Transpose::kNo, Transpose::kYes, source,
       layout_.View(values, key_weight_), 0, Keys());
  for (size_t s = 0; s < streams; ++s) {
    const MatrixView<T> weights = Weights(s);
    Gemm(Transpose::kNo, Transpose::kYes, Stream(h, s), Stream(Keys(), s), 0,
         weights);
    for (size_t t = 0; t < weights.rows; ++t) {
      SoftmaxInPlace(absl::MakeSpan(weights.row(t), weights.cols));
    }
    Gemm(Transpose::kNo, Transpose::kNo, weights, Stream(source, s), 0,
         Stream(Contexts(), s));
  }
  const MatrixView<T> y(y_.data(), h.rows, units_);
  Gemm(Transpose::kNo, Transpose::kYes, Contexts(),
       layout_.View(values, context_weight_), 0, y);
  Gemm(Transpose::kNo, Transpose::kYes, h, layout_.View(values, state_weight_),
       1, y);
  TanhInPlace(absl::MakeSpan(y_));
  return y_;
}

template <typename T>
void Attention<T>::Backward(const T* values, std::vector<T>* dy,
                            MatrixView<T> dh, MatrixView<T> d_source,
                            T* gradients) {
  for (size_t i = 0; i < y_.size(); ++i) (*dy)[i] *= 1 - y_[i] * y_[i];
  const MatrixView<const T> d_sum(dy->data(), h_.rows, units_);
  Gemm(Transpose::kYes, Transpose::kNo, d_sum, Contexts(), 1,
       layout_.View(gradients, context_weight_));
  Gemm(Transpose::kYes, Transpose::kNo, d_sum, h_, 1,
       layout_.View(gradients, state_weight_));
  Gemm(Transpose::kNo, Transpose::kNo, d_sum,
       layout_.View(values, state_weight_), 0, dh);
  d_contexts_.resize(contexts_.size());
  const MatrixView<T> d_contexts(d_contexts_.data(), h_.rows, source_units_);
  Gemm(Transpose::kNo, Transpose::kNo, d_sum,
       layout_.View(values, context_weight_), 0, d_contexts);

  d_keys_.resize(keys_.size());
  const MatrixView<T> d_keys(d_keys_.data(), source_.rows, units_);
  for (size_t s = 0; s < streams_; ++s) {
    const MatrixView<T> weights = Weights(s);
    const MatrixView<const T> d_context = Stream(d_contexts, s);
    Gemm(Transpose::kYes, Transpose::kNo, weights, d_context, 1,
         Stream(d_source, s));
    d_weights_.resize(weights.rows * weights.cols);
    const MatrixView<T> d_scores(d_weights_.data(), weights.rows, weights.cols);
    Gemm(Transpose::kNo, Transpose::kYes, d_context, Stream(source_, s), 0,
         d_scores);
    for (size_t t = 0; t < weights.rows; ++t) {
      SoftmaxBackward(weights.cols, weights.row(t), d_scores.row(t));
    }
    Gemm(Transpose::kNo, Transpose::kNo, d_scores, Stream(Keys(), s), 1,
         Stream(dh, s));
    Gemm(Transpose::kYes, Transpose::kNo, d_scores, Stream(h_, s), 0,
         Stream(d_keys, s));
  }
  Gemm(Transpose::kYes, Transpose::kNo, d_keys, source_, 1,
       layout_.View(gradients, key_weight_));
  Gemm(Transpose::kNo, Transpose::kNo, d_keys,
       layout_.View(values, key_weight_), 1, d_source);
}

template class Attention<float>;
template class Attention<double>;

}  // namespace lmserve
