#ifndef LMSERVE_MODELS_NEURAL_GEMM_H_
#define LMSERVE_MODELS_NEURAL_GEMM_H_

#include <cstddef>
#include <type_traits>

namespace lmserve {

// A matrix in row-major order in memory of someone else's; a row begins
// `stride` numbers after the one before.
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

// c = op(a) op(b) + beta c, where op transposes or does nothing: products of
// weights that change, as in training, by oneDNN (float) or Eigen (double). On
// the calling thread alone. REQUIRES: the shapes fit.
void Gemm(Transpose transpose_a, Transpose transpose_b,
          MatrixView<const float> a, MatrixView<const float> b, float beta,
          MatrixView<float> c);
void Gemm(Transpose transpose_a, Transpose transpose_b,
          MatrixView<const double> a, MatrixView<const double> b, double beta,
          MatrixView<double> c);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_GEMM_H_
