// SPDX-License-Identifier: Apache-2.0
#include "models/neural/products.h"

#include <omp.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <dnnl.hpp>
#include <map>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace lmserve {
namespace {

using DataType = dnnl::memory::data_type;
using FormatTag = dnnl::memory::format_tag;

// Smaller products are not worth the conversion to bf16.
constexpr size_t kSmallestSide = 16;

constexpr size_t kRowStep = 64;

// oneDNN must not start threads of its own: the trainer divides the work.
dnnl::engine& Engine() {
  thread_local dnnl::engine engine = [] {
    omp_set_num_threads(1);
    return dnnl::engine(dnnl::engine::kind::cpu, 0);
  }();
  return engine;
}

int64_t Signed(size_t size) { return static_cast<int64_t>(size); }

// The shape (rows, cols) of op(m) for a row-major matrix m, with its strides.
dnnl::memory::desc Describe(Transpose transpose,
                            const MatrixView<const float>& m) {
  if (transpose == Transpose::kNo) {
    return {
        {Signed(m.rows), Signed(m.cols)}, DataType::f32, {Signed(m.stride), 1}};
  }
  return {
      {Signed(m.cols), Signed(m.rows)}, DataType::f32, {1, Signed(m.stride)}};
}

void* Address(const void* data) { return const_cast<void*>(data); }

}  // namespace

bool HasBf16Products() {
  // The values of cpu_isa are sets of bits: they have no order.
  const auto wanted = static_cast<int>(dnnl::cpu_isa::avx512_core_bf16);
  return (static_cast<int>(dnnl::get_effective_cpu_isa()) & wanted) == wanted;
}

template <typename T>
struct Products<T>::Packed {
  std::vector<std::byte> bytes;
  dnnl::memory memory;  // a view of the bytes
};

// Rounds the operands and multiplies them by oneDNN.
template <typename T>
class Products<T>::Bf16 {
 public:
  Bf16() : engine_(Engine()), stream_(engine_) {}

  std::shared_ptr<const Packed> Pack(Transpose transpose,
                                     MatrixView<const float> b, size_t rows) {
    const dnnl::memory::desc plain = Describe(transpose, b);
    const size_t inner = plain.dims()[0], cols = plain.dims()[1];
    const Plan& plan = FindPlan(rows, inner, cols, cols, /*adds=*/true);
    auto packed = TakeBuffer(plan.b.get_size());
    packed->memory = dnnl::memory(plan.b, engine_, packed->bytes.data());
    Convert(plain, b.data, plan.b, packed->bytes.data());
    return packed;
  }

  void Multiply(Transpose transpose_a, MatrixView<const float> a,
                const Packed& b, bool adds, MatrixView<float> c) {
    const dnnl::memory::desc plain = Describe(transpose_a, a);
    const Plan& plan =
        FindPlan(c.rows, plain.dims()[1], c.cols, c.stride, adds);
    a_.resize(std::max(a_.size(), plan.a.get_size()));
    Convert(plain, a.data, plan.a, a_.data());
    scratch_.resize(std::max(scratch_.size(), plan.scratch.get_size()));
    const dnnl::memory packed = Repack(plan, b.memory);
    plan.product.execute(stream_, {{DNNL_ARG_SRC, {plan.a, engine_, a_.data()}},
                                   {DNNL_ARG_WEIGHTS, packed},
                                   {DNNL_ARG_DST, {plan.c, engine_, c.data}},
                                   {DNNL_ARG_SCRATCHPAD,
                                    {plan.scratch, engine_, scratch_.data()}}});
    stream_.wait();
  }

 private:
  struct Plan {
    dnnl::matmul product;
    dnnl::memory::desc a, b, c, scratch;
  };
  // Rows, inner dimension, columns and stride of c, and whether c is added to.
  using Shape = std::tuple<size_t, size_t, size_t, size_t, bool>;

  const Plan& FindPlan(size_t rows, size_t inner, size_t cols, size_t stride,
                       bool adds) {
    const auto [found, is_new] =
        plans_.try_emplace({rows, inner, cols, stride, adds});
    Plan& plan = found->second;
    if (!is_new) return plan;
    plan.a = {{Signed(rows), Signed(inner)}, DataType::bf16, FormatTag::ab};
    plan.c = {{Signed(rows), Signed(cols)}, DataType::f32, {Signed(stride), 1}};
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    if (adds) {
      dnnl::post_ops sum;
      sum.append_sum(1);
      attributes.set_post_ops(sum);
    }
    const dnnl::matmul::primitive_desc description(
        dnnl::matmul::desc(
            plan.a,
            {{Signed(inner), Signed(cols)}, DataType::bf16, FormatTag::any},
            plan.c),
        attributes, engine_);
    plan.product = dnnl::matmul(description);
    plan.b = description.weights_desc();
    plan.scratch = description.scratchpad_desc();
    return plan;
  }

  // Returns a buffer that no operand uses. Fresh memory would cost a page fault
  // every 4 KiB.
  std::shared_ptr<Packed> TakeBuffer(size_t size) {
    for (const std::shared_ptr<Packed>& buffer : buffers_) {
      if (buffer.use_count() == 1 && buffer->bytes.size() >= size) {
        return buffer;
      }
    }
    buffers_.push_back(std::make_shared<Packed>());
    buffers_.back()->bytes.resize(size);
    return buffers_.back();
  }

  void Convert(const dnnl::memory::desc& from, const void* data,
               const dnnl::memory::desc& to, void* result) {
    dnnl::memory source(from, engine_, Address(data));
    dnnl::memory target(to, engine_, result);
    dnnl::reorder(source, target).execute(stream_, source, target);
    stream_.wait();
  }

  // Returns b in the packing of a plan, which differs only if b was packed for
  // another number of rows.
  dnnl::memory Repack(const Plan& plan, const dnnl::memory& b) {
    if (b.get_desc() == plan.b) return b;
    dnnl::memory packed(plan.b, engine_);
    Convert(b.get_desc(), b.get_data_handle(), plan.b,
            packed.get_data_handle());
    return packed;
  }

  const dnnl::engine engine_;
  dnnl::stream stream_;
  std::map<Shape, Plan> plans_;
  std::vector<std::shared_ptr<Packed>> buffers_;
  std::vector<std::byte> a_, scratch_;
};

template <typename T>
Products<T>::Products(ProductPrecision precision) : precision_(precision) {
  if (precision == ProductPrecision::kFloat) return;
  bf16_ = std::make_unique<Bf16>();
}

template <typename T>
Products<T>::~Products() = default;

template <typename T>
typename Products<T>::Operand Products<T>::Prepare(Transpose transpose_b,
                                                   MatrixView<const T> b,
                                                   size_t rows) {
  Operand operand(transpose_b, b);
  if constexpr (std::is_same_v<T, float>) {
    const size_t sides[] = {rows, b.rows, b.cols};
    if (bf16_ != nullptr &&
        *std::min_element(std::begin(sides), std::end(sides)) >=
            kSmallestSide) {
      operand.packed_ = bf16_->Pack(transpose_b, b, rows);
    }
  }
  return operand;
}

template <typename T>
void Products<T>::Gemm(Transpose transpose_a, Transpose transpose_b,
                       MatrixView<const T> a, MatrixView<const T> b, T beta,
                       MatrixView<T> c) {
  Gemm(transpose_a, a, Prepare(transpose_b, b, c.rows), beta, c);
}

template <typename T>
void Products<T>::Gemm(Transpose transpose_a, MatrixView<const T> a,
                       const Operand& b, T beta, MatrixView<T> c) {
  if constexpr (std::is_same_v<T, float>) {
    if (b.packed_ != nullptr) {
      return bf16_->Multiply(transpose_a, a, *b.packed_, beta == 1, c);
    }
  }
  lmserve::Gemm(transpose_a, b.transpose_, a, b.view_, beta, c);
}

template <typename T>
size_t Products<T>::PaddedRows(size_t rows) const {
  if (bf16_ == nullptr) return rows;
  return (rows + kRowStep - 1) / kRowStep * kRowStep;
}

template class Products<float>;
template class Products<double>;

}  // namespace lmserve
