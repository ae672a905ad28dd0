// SPDX-License-Identifier: Apache-2.0
#include "models/neural/gemm.h"

#include <dnnl.h>
#include <omp.h>

#include <Eigen/Core>

namespace lmserve {
namespace {

using Matrix =
    Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Strides = Eigen::OuterStride<>;

Eigen::Map<const Matrix, 0, Strides> View(const MatrixView<const double>& m) {
  return {m.data, static_cast<Eigen::Index>(m.rows),
          static_cast<Eigen::Index>(m.cols),
          Strides(static_cast<Eigen::Index>(m.stride))};
}

}  // namespace

void Gemm(Transpose transpose_a, Transpose transpose_b,
          MatrixView<const float> a, MatrixView<const float> b, float beta,
          MatrixView<float> c) {
  // oneDNN uses the OpenMP threads of the calling thread: allow only one.
  thread_local const bool single_threaded = [] {
    omp_set_num_threads(1);
    return true;
  }();
  static_cast<void>(single_threaded);
  const auto size = [](size_t n) { return static_cast<dnnl_dim_t>(n); };
  const auto letter = [](Transpose t) {
    return t == Transpose::kYes ? 'T' : 'N';
  };
  const size_t inner = transpose_a == Transpose::kYes ? a.rows : a.cols;
  dnnl_sgemm(letter(transpose_a), letter(transpose_b), size(c.rows),
             size(c.cols), size(inner), 1, a.data, size(a.stride), b.data,
             size(b.stride), beta, c.data, size(c.stride));
}

void Gemm(Transpose transpose_a, Transpose transpose_b,
          MatrixView<const double> a, MatrixView<const double> b, double beta,
          MatrixView<double> c) {
  Eigen::Map<Matrix, 0, Strides> out(
      c.data, static_cast<Eigen::Index>(c.rows),
      static_cast<Eigen::Index>(c.cols),
      Strides(static_cast<Eigen::Index>(c.stride)));
  const auto left = View(a), right = View(b);
  if (beta == 0) out.setZero();
  if (beta != 0 && beta != 1) out *= beta;
  const bool at = transpose_a == Transpose::kYes;
  const bool bt = transpose_b == Transpose::kYes;
  if (at && bt) out.noalias() += left.transpose() * right.transpose();
  if (at && !bt) out.noalias() += left.transpose() * right;
  if (!at && bt) out.noalias() += left * right.transpose();
  if (!at && !bt) out.noalias() += left * right;
}

}  // namespace lmserve
