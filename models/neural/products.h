// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NEURAL_PRODUCTS_H_
#define LMSERVE_MODELS_NEURAL_PRODUCTS_H_

#include <cstddef>
#include <memory>

#include "models/neural/gemm.h"

namespace lmserve {

// How the matrix products of a training are computed.
enum class ProductPrecision {
  kFloat,
  // The operands are rounded to bf16, the sums are float: with AMX two to four
  // times as fast, conversion included. The parameters, and the sums of
  // gradients, stay float.
  kBf16,
};

// Whether this processor multiplies numbers of bf16 (AVX-512 BF16 or AMX).
bool HasBf16Products();

// The matrix products of a network in training. Keeps the compiled products and
// its working memory for the next ones. A copy has its own. Not thread-safe.
template <typename T>
class Products {
 public:
  // REQUIRES: precision is kFloat, or HasBf16Products() and T is float.
  explicit Products(ProductPrecision precision);
  Products(const Products& other) : Products(other.precision_) {}
  Products& operator=(const Products&) = delete;
  ~Products();

  // The right operand op(b) of several products whose left operands have the
  // same number of rows. In float it is a view of b.
  class Operand;
  Operand Prepare(Transpose transpose_b, MatrixView<const T> b, size_t rows);

  // c = op(a) op(b) + beta c, see lmserve::Gemm(). beta is 0 or 1.
  void Gemm(Transpose transpose_a, Transpose transpose_b, MatrixView<const T> a,
            MatrixView<const T> b, T beta, MatrixView<T> c);
  void Gemm(Transpose transpose_a, MatrixView<const T> a, const Operand& b,
            T beta, MatrixView<T> c);

  // A number of rows of at least `rows`, for products whose number of rows
  // differs from batch to batch: each number of rows needs a compiled product.
  size_t PaddedRows(size_t rows) const;

 private:
  class Bf16;
  struct Packed;  // an operand in the form that Bf16 multiplies

  const ProductPrecision precision_;
  std::unique_ptr<Bf16> bf16_;  // null for kFloat
};

template <typename T>
class Products<T>::Operand {
 private:
  friend class Products;

  Operand(Transpose transpose, MatrixView<const T> view)
      : transpose_(transpose), view_(view) {}

  Transpose transpose_;
  MatrixView<const T> view_;
  std::shared_ptr<const Packed> packed_;  // null for a product in float
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_PRODUCTS_H_
