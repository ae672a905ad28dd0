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

// How the numbers of a matrix of weights are kept.
enum class Precision {
  kFloat,  // 32 bits
  kBf16,   // the upper 16 bits of a float
  kInt8,   // whole numbers from -127 to 127, times a scale a row
};

// "float", "bf16", "int8".
absl::string_view PrecisionName(Precision precision);
absl::StatusOr<Precision> ParsePrecision(absl::string_view name);

// Bytes of a number.
size_t PrecisionSize(Precision precision);

// The nearest bfloat16, ties to even; NaN stays NaN.
uint16_t ToBf16(float x);
float FromBf16(uint16_t x);

// A matrix of weights in row-major order, as a view of the caller's memory,
// which need not be aligned. Immutable: any number of threads may use one.
struct WeightMatrix {
  Precision precision = Precision::kFloat;
  size_t rows = 0;
  size_t cols = 0;
  absl::string_view bytes;   // rows * cols numbers
  absl::string_view scales;  // of kInt8: a float a row; else empty

  // The matrix of some floats.
  static WeightMatrix Of(absl::Span<const float> values, size_t rows,
                         size_t cols);

  // Writes a row's `cols` numbers as floats.
  void CopyRow(size_t row, float* out) const;

  // All rows as floats.
  std::vector<float> ToFloats() const;

  float Scale(size_t row) const;

  // The rows [begin, begin + count).
  WeightMatrix Rows(size_t begin, size_t count) const;
};

// A matrix in another precision, with its bytes.
struct ConvertedMatrix {
  std::string bytes;
  std::string scales;
};

// Rounds to nearest; of kInt8 each row's largest number becomes 127.
ConvertedMatrix Convert(const WeightMatrix& matrix, Precision precision);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_WEIGHT_MATRIX_H_
