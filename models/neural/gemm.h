// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NEURAL_GEMM_H_
#define LMSERVE_MODELS_NEURAL_GEMM_H_

#include <cstddef>
#include <type_traits>

namespace lmserve {

// A view of a row-major matrix in the caller's memory. Each row begins `stride`
// numbers after the previous row.
template <typename T>
struct MatrixView {
  MatrixView(T* d, size_t r, size_t c) : MatrixView(d, r, c, c) {}
  MatrixView(T* d, size_t r, size_t c, size_t s)
      : data(d), rows(r), cols(c), stride(s) {}

  operator MatrixView<const T>() const requires(!std::is_const_v<T>) {
    return {data, rows, cols, stride};
  }

  T* row(size_t i) const { return data + i * stride; }
  // The columns [begin, begin + count).
  MatrixView Cols(size_t begin, size_t count) const {
    return {data + begin, rows, count, stride};
  }
  // The rows [begin, begin + count).
  MatrixView Rows(size_t begin, size_t count) const {
    return {data + begin * stride, count, cols, stride};
  }

  T* data;
  size_t rows, cols, stride;
};

enum class Transpose { kNo, kYes };

// c = op(a) op(b) + beta c, where op(m) is m or its transpose. Serves training,
// where weights change in each step; Linear multiplies by constant weights.
// Uses oneDNN for float and Eigen for double, on the calling thread only.
// Thread-safe. REQUIRES: the shapes match.
void Gemm(Transpose transpose_a, Transpose transpose_b,
          MatrixView<const float> a, MatrixView<const float> b, float beta,
          MatrixView<float> c);
void Gemm(Transpose transpose_a, Transpose transpose_b,
          MatrixView<const double> a, MatrixView<const double> b, double beta,
          MatrixView<double> c);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_GEMM_H_
