// SPDX-License-Identifier: Apache-2.0
#include "models/neural/linear.h"

#include <omp.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <dnnl.hpp>
#include <optional>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "models/neural/kernels.h"

namespace lmserve {
namespace {

using DataType = dnnl::memory::data_type;
using FormatTag = dnnl::memory::format_tag;

// The numbers of rows for which there is a compiled product. A product with
// another number of rows is split into several of these.
constexpr std::array<size_t, 21> kRowCounts = {
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 20, 24, 32, 48, 64};

// Returns the index of the largest row count that is at most `rows`.
size_t FindRowCount(size_t rows) {
  const auto* above =
      std::upper_bound(kRowCounts.begin(), kRowCounts.end(), rows);
  return above - kRowCounts.begin() - 1;
}

const dnnl::engine& Engine() {
  static const dnnl::engine& engine =
      *new dnnl::engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

// oneDNN must not start threads of its own: callers divide work among threads.
dnnl::stream& Stream() {
  thread_local dnnl::stream stream = [] {
    omp_set_num_threads(1);
    return dnnl::stream(Engine());
  }();
  return stream;
}

int64_t Signed(size_t size) { return static_cast<int64_t>(size); }

dnnl::memory::desc RowMajor(size_t rows, size_t cols, DataType type) {
  return {{Signed(rows), Signed(cols)}, type, FormatTag::ab};
}

// A product by oneDNN with weights that are packed once.
class PackedProduct {
 public:
  struct Types {
    DataType input, weights, output;
  };

  // Returns the length of a row of x in memory, at least `inputs`. An AMX tile
  // has 64 bytes of each row. oneDNN copies x for each product if its rows are
  // not multiples of that, and takes up to twice as long.
  static size_t RowLength(DataType type, size_t inputs) {
    constexpr size_t kTileBytes = 64;
    if (type == DataType::f32) return inputs;
    const size_t multiple = kTileBytes / dnnl::memory::data_type_size(type);
    return (inputs + multiple - 1) / multiple * multiple;
  }

  // `weights` has the shape (outputs, inputs) and the type types.weights;
  // `bias` is empty or has one float for each output. Returns nullopt if oneDNN
  // has no kernel that gives a row the same bits for every number of rows; only
  // its "brgemm" kernels do.
  static std::optional<PackedProduct> Create(const Types& types, size_t inputs,
                                             size_t outputs,
                                             const void* weights,
                                             absl::Span<const float> bias) {
    for (bool allow_amx : {true, false}) {
      PackedProduct product(types, inputs, outputs, !bias.empty());
      if (!product.MakePrimitives(allow_amx)) continue;
      product.Pack(weights, inputs, bias);
      return product;
    }
    return std::nullopt;
  }

  // The length of a row of x in memory.
  size_t row_length() const { return row_length_; }

  // Computes y (rows, outputs) from x (rows, row_length()). The numbers after
  // the inputs of a row are multiplied by 0.
  void Apply(const void* x, size_t rows, void* y,
             LinearScratch* scratch) const {
    const auto* from = static_cast<const char*>(x);
    auto* to = static_cast<char*>(y);
    while (rows > 0) {
      const size_t which = FindRowCount(rows);
      Execute(which, from, to, scratch);
      const size_t done = kRowCounts[which];
      from += done * row_length_ * dnnl::memory::data_type_size(types_.input);
      to += done * outputs_ * dnnl::memory::data_type_size(types_.output);
      rows -= done;
    }
  }

 private:
  struct Primitive {
    dnnl::matmul matmul;
    dnnl::memory::desc input, output, scratch;
  };

  PackedProduct(const Types& types, size_t inputs, size_t outputs,
                bool has_bias)
      : types_(types),
        row_length_(RowLength(types.input, inputs)),
        outputs_(outputs),
        has_bias_(has_bias),
        weights_desc_({Signed(row_length_), Signed(outputs)}, types.weights,
                      FormatTag::any) {}

  // Creates the product with the most rows first. It determines the packing of
  // the weights, which all products share. Returns false if a product has no
  // suitable kernel, or if only some of the bf16 kernels use AMX, which sums a
  // row in another order. The sums of int8 kernels are exact in any order.
  bool MakePrimitives(bool allow_amx) {
    primitives_.resize(kRowCounts.size());
    size_t amx_kernels = 0;
    for (size_t i = kRowCounts.size(); i-- > 0;) {
      const auto input = RowMajor(kRowCounts[i], row_length_, types_.input);
      const auto output = RowMajor(kRowCounts[i], outputs_, types_.output);
      dnnl::primitive_attr attributes;
      attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
      const auto op =
          has_bias_
              ? dnnl::matmul::desc(input, weights_desc_,
                                   RowMajor(1, outputs_, DataType::f32), output)
              : dnnl::matmul::desc(input, weights_desc_, output);
      dnnl::matmul::primitive_desc plan(op, attributes, Engine(),
                                        /*allow_empty=*/true);
      if (!plan) return false;
      while (!allow_amx && UsesAmx(plan)) {
        if (!plan.next_impl()) return false;
      }
      if (!absl::StartsWith(plan.impl_info_str(), "brg")) return false;
      if (UsesAmx(plan)) ++amx_kernels;
      weights_desc_ = plan.weights_desc();
      primitives_[i] = {dnnl::matmul(plan), input, output,
                        plan.scratchpad_desc()};
    }
    return types_.weights != DataType::bf16 || amx_kernels == 0 ||
           amx_kernels == kRowCounts.size();
  }

  static bool UsesAmx(const dnnl::matmul::primitive_desc& plan) {
    return absl::StrContains(plan.impl_info_str(), "amx");
  }

  void Pack(const void* weights, size_t inputs, absl::Span<const float> bias) {
    weights_ = dnnl::memory(weights_desc_, Engine());
    const size_t size = dnnl::memory::data_type_size(types_.weights);
    std::vector<std::byte> padded;  // (outputs, row_length)
    if (row_length_ > inputs) {
      padded.resize(outputs_ * row_length_ * size);
      for (size_t j = 0; j < outputs_; ++j) {
        std::copy_n(static_cast<const std::byte*>(weights) + j * inputs * size,
                    inputs * size, padded.data() + j * row_length_ * size);
      }
      weights = padded.data();
    }
    // A row-major (outputs, inputs) matrix is a column-major (inputs, outputs)
    // matrix, which is the layout `ba`.
    dnnl::memory plain({{Signed(row_length_), Signed(outputs_)},
                        types_.weights,
                        FormatTag::ba},
                       Engine(), const_cast<void*>(weights));
    dnnl::reorder(plain, weights_).execute(Stream(), plain, weights_);
    Stream().wait();
    if (!has_bias_) return;
    bias_ = dnnl::memory(RowMajor(1, outputs_, DataType::f32), Engine());
    std::copy(bias.begin(), bias.end(),
              static_cast<float*>(bias_.get_data_handle()));
  }

  void Execute(size_t which, const char* x, char* y,
               LinearScratch* scratch) const {
    const Primitive& primitive = primitives_[which];
    scratch->library.resize(
        std::max(scratch->library.size(), primitive.scratch.get_size()));
    const dnnl::memory input(primitive.input, Engine(), const_cast<char*>(x));
    const dnnl::memory output(primitive.output, Engine(), y);
    const dnnl::memory library(primitive.scratch, Engine(),
                               scratch->library.data());
    const std::array<dnnl_exec_arg_t, 5> arguments = {{
        {DNNL_ARG_SRC, input.get()},
        {DNNL_ARG_WEIGHTS, weights_.get()},
        {DNNL_ARG_DST, output.get()},
        {DNNL_ARG_SCRATCHPAD, library.get()},
        {DNNL_ARG_BIAS, has_bias_ ? bias_.get() : nullptr},
    }};
    dnnl_primitive_execute(primitive.matmul.get(), Stream().get(),
                           has_bias_ ? 5 : 4, arguments.data());
  }

  Types types_;
  size_t row_length_;
  size_t outputs_;
  bool has_bias_;
  dnnl::memory::desc weights_desc_;
  std::vector<Primitive> primitives_;  // one for each of kRowCounts
  dnnl::memory weights_;
  dnnl::memory bias_;
};

// Weights, inputs and outputs are floats.
class FloatLinear final : public Linear {
 public:
  static std::unique_ptr<const Linear> Create(const WeightMatrix& weights,
                                              absl::Span<const float> bias) {
    const std::vector<float> floats = weights.ToFloats();
    auto product =
        PackedProduct::Create({DataType::f32, DataType::f32, DataType::f32},
                              weights.cols, weights.rows, floats.data(), bias);
    if (!product.has_value()) return nullptr;
    return absl::WrapUnique(new FloatLinear(weights, *std::move(product)));
  }

  void Apply(const float* x, size_t rows, float* y,
             LinearScratch* scratch) const override {
    product_.Apply(x, rows, y, scratch);
  }

 private:
  FloatLinear(const WeightMatrix& weights, PackedProduct product)
      : Linear(weights.cols, weights.rows), product_(std::move(product)) {}

  const PackedProduct product_;
};

// Weights and inputs are bfloat16; sums and outputs are floats.
class Bf16Linear final : public Linear {
 public:
  static std::unique_ptr<const Linear> Create(const WeightMatrix& weights,
                                              absl::Span<const float> bias) {
    auto product = PackedProduct::Create(
        {DataType::bf16, DataType::bf16, DataType::f32}, weights.cols,
        weights.rows, weights.bytes.data(), bias);
    if (!product.has_value()) return nullptr;
    return absl::WrapUnique(new Bf16Linear(weights, *std::move(product)));
  }

  void Apply(const float* x, size_t rows, float* y,
             LinearScratch* scratch) const override {
    const size_t row_length = product_.row_length();
    scratch->inputs.resize(
        std::max(scratch->inputs.size(), rows * row_length * sizeof(uint16_t)));
    auto* rounded = reinterpret_cast<uint16_t*>(scratch->inputs.data());
    for (size_t r = 0; r < rows; ++r) {
      uint16_t* row = rounded + r * row_length;
      std::transform(x, x + inputs(), row, ToBf16);
      // Other bits could be a NaN, which times 0 is not 0.
      std::fill(row + inputs(), row + row_length, 0);
      x += inputs();
    }
    product_.Apply(rounded, rows, y, scratch);
  }

 private:
  Bf16Linear(const WeightMatrix& weights, PackedProduct product)
      : Linear(weights.cols, weights.rows), product_(std::move(product)) {}

  const PackedProduct product_;
};

// Weights are int8 with one scale for each row. Inputs are rounded to 8-bit
// integers with one scale for each row, too. The integer sums are exact.
class Int8Linear final : public Linear {
 public:
  static std::unique_ptr<const Linear> Create(const WeightMatrix& weights,
                                              absl::Span<const float> bias) {
    auto product = PackedProduct::Create(
        {DataType::u8, DataType::s8, DataType::s32}, weights.cols, weights.rows,
        weights.bytes.data(), {});
    if (!product.has_value()) return nullptr;
    return absl::WrapUnique(new Int8Linear(weights, bias, *std::move(product)));
  }

  void Apply(const float* x, size_t rows, float* y,
             LinearScratch* scratch) const override {
    const size_t row_length = product_.row_length();
    scratch->inputs.resize(std::max(scratch->inputs.size(), rows * row_length));
    scratch->scales.resize(std::max(scratch->scales.size(), rows));
    scratch->products.resize(
        std::max(scratch->products.size(), rows * outputs()));
    auto* steps = reinterpret_cast<uint8_t*>(scratch->inputs.data());
    for (size_t r = 0; r < rows; ++r) {
      scratch->scales[r] =
          RoundToSteps(inputs(), x + r * inputs(), steps + r * row_length);
    }
    product_.Apply(steps, rows, scratch->products.data(), scratch);
    for (size_t r = 0; r < rows; ++r) {
      SumsToFloats(outputs(), scratch->products.data() + r * outputs(),
                   zeros_.data(), scratch->scales[r], scales_.data(),
                   bias_.data(), y + r * outputs());
    }
  }

 private:
  Int8Linear(const WeightMatrix& weights, absl::Span<const float> bias,
             PackedProduct product)
      : Linear(weights.cols, weights.rows), product_(std::move(product)) {
    bias_.assign(weights.rows, 0);
    std::copy(bias.begin(), bias.end(), bias_.begin());
    for (size_t r = 0; r < weights.rows; ++r) {
      scales_.push_back(weights.Scale(r));
      int32_t sum = 0;
      for (char w : weights.Rows(r, 1).bytes) sum += static_cast<int8_t>(w);
      zeros_.push_back(kZeroStep * sum);
    }
  }

  const PackedProduct product_;
  std::vector<float> bias_;
  std::vector<float> scales_;   // one for each row of the weights
  std::vector<int32_t> zeros_;  // the part of each sum that is due to kZeroStep
};

// The fallback for processors for which PackedProduct::Create() returns
// nullopt.
class PortableLinear final : public Linear {
 public:
  PortableLinear(const WeightMatrix& weights, absl::Span<const float> bias)
      : Linear(weights.cols, weights.rows),
        panels_((weights.rows + kPanel - 1) / kPanel),
        packed_(panels_ * kPanel * weights.cols),
        bias_(panels_ * kPanel) {
    std::copy(bias.begin(), bias.end(), bias_.begin());
    std::vector<float> row(weights.cols);
    for (size_t r = 0; r < weights.rows; ++r) {
      weights.CopyRow(r, row.data());
      float* to =
          packed_.data() + r / kPanel * kPanel * weights.cols + r % kPanel;
      for (size_t k = 0; k < weights.cols; ++k) to[k * kPanel] = row[k];
    }
  }

  void Apply(const float* x, size_t rows, float* y,
             LinearScratch* scratch) const override {
    const size_t width = panels_ * kPanel;
    scratch->scales.resize(std::max(scratch->scales.size(), rows * width));
    float* sums = scratch->scales.data();
    for (size_t r = 0; r < rows; ++r) {
      std::copy(bias_.begin(), bias_.end(), sums + r * width);
    }
    MultiplyPanels(x, rows, inputs(), packed_.data(), panels_, sums);
    for (size_t r = 0; r < rows; ++r) {
      std::copy_n(sums + r * width, outputs(), y + r * outputs());
    }
  }

 private:
  static constexpr size_t kPanel = 16;  // number of outputs in a panel

  const size_t panels_;
  std::vector<float> packed_;  // (panels, inputs, kPanel)
  std::vector<float> bias_;
};

std::unique_ptr<const Linear> MakeLinear(const WeightMatrix& weights,
                                         absl::Span<const float> bias) {
  std::unique_ptr<const Linear> linear;
  if (weights.precision == Precision::kBf16) {
    linear = Bf16Linear::Create(weights, bias);
  } else if (weights.precision == Precision::kInt8) {
    linear = Int8Linear::Create(weights, bias);
  }
  if (linear == nullptr) linear = FloatLinear::Create(weights, bias);
  if (linear == nullptr) {
    linear = std::make_unique<PortableLinear>(weights, bias);
  }
  return linear;
}

}  // namespace

absl::StatusOr<std::unique_ptr<const Linear>> Linear::Create(
    const WeightMatrix& weights, absl::Span<const float> bias) {
  try {
    return MakeLinear(weights, bias);
  } catch (const dnnl::error& error) {
    return absl::InternalError(absl::StrCat("oneDNN: ", error.what()));
  }
}

}  // namespace lmserve
