// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NEURAL_WEIGHT_MATRIX_H_
#define LMSERVE_MODELS_NEURAL_WEIGHT_MATRIX_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lmserve {

// The representation of the numbers of a weight matrix.
enum class Precision {
  kFloat,  // 32 bits
  kBf16,   // bfloat16: the upper 16 bits of a float
  kInt8,   // integers from -127 to 127, times one scale for each row
};

// Conversion between precisions and the names "float", "bf16", "int8".
absl::string_view PrecisionName(Precision precision);
absl::StatusOr<Precision> ParsePrecision(absl::string_view name);

// Returns the size of a number in bytes.
size_t PrecisionSize(Precision precision);

// Conversion between float and bfloat16. ToBf16() rounds to nearest, ties to
// even; NaN stays NaN.
uint16_t ToBf16(float x);
float FromBf16(uint16_t x);

// A view of a row-major weight matrix in the caller's memory, which may be
// unaligned and must outlive the view. Its methods are thread-safe.
struct WeightMatrix {
  Precision precision = Precision::kFloat;
  size_t rows = 0;
  size_t cols = 0;
  absl::string_view bytes;   // rows * cols numbers
  absl::string_view scales;  // for kInt8 a float for each row, otherwise empty

  // Returns a view of floats, row by row.
  static WeightMatrix Of(absl::Span<const float> values, size_t rows,
                         size_t cols);

  // Writes the `cols` numbers of a row as floats.
  void CopyRow(size_t row, float* out) const;

  // Returns the numbers of these rows as floats, (which.size(), cols).
  std::vector<float> CopyRows(absl::Span<const uint32_t> which) const;

  // Returns all rows as floats.
  std::vector<float> ToFloats() const;

  // Returns the scale of a row. REQUIRES: precision is kInt8.
  float Scale(size_t row) const;

  // Returns a view of the rows [begin, begin + count).
  WeightMatrix Rows(size_t begin, size_t count) const;
};

// The memory of a matrix that was converted to another precision.
struct ConvertedMatrix {
  std::string bytes;
  std::string scales;
};

// Converts a matrix to another precision. Rounds to nearest. For kInt8, the
// scale of a row is its largest absolute value divided by 127.
ConvertedMatrix ConvertMatrix(const WeightMatrix& matrix, Precision precision);

// A matrix that owns a copy of its numbers. Movable. Its methods are
// thread-safe.
class OwnedMatrix {
 public:
  OwnedMatrix() = default;
  explicit OwnedMatrix(const WeightMatrix& matrix);
  OwnedMatrix(OwnedMatrix&&) = default;
  OwnedMatrix& operator=(OwnedMatrix&&) = default;

  // A view that is valid as long as this object, also after a move.
  const WeightMatrix& operator*() const { return view_; }
  const WeightMatrix* operator->() const { return &view_; }

 private:
  // A move of a vector does not move its elements.
  std::vector<char> bytes_;
  std::vector<char> scales_;
  WeightMatrix view_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_WEIGHT_MATRIX_H_
