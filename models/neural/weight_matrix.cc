// SPDX-License-Identifier: Apache-2.0
#include "models/neural/weight_matrix.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace lmserve {
namespace {

template <typename Number>
Number Load(const char* at) {
  Number number;
  std::memcpy(&number, at, sizeof(number));
  return number;
}

template <typename Number>
void Append(Number number, std::string* bytes) {
  bytes->append(reinterpret_cast<const char*>(&number), sizeof(number));
}

void AppendBf16(absl::Span<const float> row, ConvertedMatrix* out) {
  for (float x : row) Append(ToBf16(x), &out->bytes);
}

void AppendInt8(absl::Span<const float> row, ConvertedMatrix* out) {
  float most = 0;
  for (float x : row) most = std::max(most, std::abs(x));
  const float scale = most / 127;
  Append(scale, &out->scales);
  for (float x : row) {
    const float steps = scale == 0 ? 0 : std::nearbyint(x / scale);
    Append(static_cast<int8_t>(std::clamp(steps, -127.0f, 127.0f)),
           &out->bytes);
  }
}

}  // namespace

absl::string_view PrecisionName(Precision precision) {
  switch (precision) {
    case Precision::kFloat:
      return "float";
    case Precision::kBf16:
      return "bf16";
    case Precision::kInt8:
      return "int8";
  }
  return "";
}

absl::StatusOr<Precision> ParsePrecision(absl::string_view name) {
  for (Precision precision :
       {Precision::kFloat, Precision::kBf16, Precision::kInt8}) {
    if (name == PrecisionName(precision)) return precision;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "precision: expected float, bf16 or int8, found '", name, "'"));
}

size_t PrecisionSize(Precision precision) {
  switch (precision) {
    case Precision::kFloat:
      return 4;
    case Precision::kBf16:
      return 2;
    case Precision::kInt8:
      return 1;
  }
  return 0;
}

uint16_t ToBf16(float x) {
  const uint32_t bits = Load<uint32_t>(reinterpret_cast<const char*>(&x));
  if (std::isnan(x)) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

float FromBf16(uint16_t x) {
  const uint32_t bits = uint32_t{x} << 16;
  return Load<float>(reinterpret_cast<const char*>(&bits));
}

WeightMatrix WeightMatrix::Of(absl::Span<const float> values, size_t rows,
                              size_t cols) {
  WeightMatrix matrix;
  matrix.rows = rows;
  matrix.cols = cols;
  matrix.bytes = {reinterpret_cast<const char*>(values.data()),
                  values.size() * sizeof(float)};
  return matrix;
}

float WeightMatrix::Scale(size_t row) const {
  return Load<float>(scales.data() + row * sizeof(float));
}

void WeightMatrix::CopyRow(size_t row, float* out) const {
  const size_t size = PrecisionSize(precision);
  const char* from = bytes.data() + row * cols * size;
  switch (precision) {
    case Precision::kFloat:
      std::memcpy(out, from, cols * size);
      return;
    case Precision::kBf16:
      for (size_t i = 0; i < cols; ++i) {
        out[i] = FromBf16(Load<uint16_t>(from + i * size));
      }
      return;
    case Precision::kInt8:
      const float scale = Scale(row);
      for (size_t i = 0; i < cols; ++i) {
        out[i] = Load<int8_t>(from + i) * scale;
      }
      return;
  }
}

std::vector<float> WeightMatrix::CopyRows(
    absl::Span<const uint32_t> which) const {
  std::vector<float> floats(which.size() * cols);
  for (size_t i = 0; i < which.size(); ++i) {
    CopyRow(which[i], floats.data() + i * cols);
  }
  return floats;
}

std::vector<float> WeightMatrix::ToFloats() const {
  std::vector<float> floats(rows * cols);
  for (size_t r = 0; r < rows; ++r) CopyRow(r, floats.data() + r * cols);
  return floats;
}

WeightMatrix WeightMatrix::Rows(size_t begin, size_t count) const {
  const size_t row_bytes = cols * PrecisionSize(precision);
  WeightMatrix part = *this;
  part.rows = count;
  part.bytes = bytes.substr(begin * row_bytes, count * row_bytes);
  if (!scales.empty()) {
    part.scales = scales.substr(begin * sizeof(float), count * sizeof(float));
  }
  return part;
}

OwnedMatrix::OwnedMatrix(const WeightMatrix& matrix)
    : bytes_(matrix.bytes.begin(), matrix.bytes.end()),
      scales_(matrix.scales.begin(), matrix.scales.end()),
      view_(matrix) {
  view_.bytes = {bytes_.data(), bytes_.size()};
  view_.scales = {scales_.data(), scales_.size()};
}

ConvertedMatrix ConvertMatrix(const WeightMatrix& matrix, Precision precision) {
  ConvertedMatrix out;
  out.bytes.reserve(matrix.rows * matrix.cols * PrecisionSize(precision));
  std::vector<float> row(matrix.cols);
  for (size_t r = 0; r < matrix.rows; ++r) {
    matrix.CopyRow(r, row.data());
    switch (precision) {
      case Precision::kFloat:
        out.bytes.append(reinterpret_cast<const char*>(row.data()),
                         row.size() * sizeof(float));
        break;
      case Precision::kBf16:
        AppendBf16(row, &out);
        break;
      case Precision::kInt8:
        AppendInt8(row, &out);
        break;
    }
  }
  return out;
}

}  // namespace lmserve
