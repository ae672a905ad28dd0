#ifndef LMSERVE_MODELS_NEURAL_TENSOR_HEADER_H_
#define LMSERVE_MODELS_NEURAL_TENSOR_HEADER_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/neural/tensor_file.h"

namespace lmserve {

// The JSON in front of a safetensors file's numbers.
struct TensorHeader {
  struct Tensor {
    std::string name;
    TensorType type;
    std::vector<int64_t> shape;
    uint64_t begin;  // where its bytes are, counted from the header's end
    uint64_t end;
  };

  std::vector<Tensor> tensors;
  std::map<std::string, std::string> metadata;

  // Reads what is UTF-8 JSON of the form of a header, and no more than that:
  // every field once, no name twice, no number below 0. What the numbers tell
  // is not checked. Memory is in proportion to the text; nothing recurs. Fails
  // with TensorFileError().
  static absl::StatusOr<TensorHeader> Parse(absl::string_view json);

  // The tensors as they stand, without padding.
  std::string ToJson() const;
};

// A name in quotation marks for a message, cut and escaped where need be.
std::string QuoteTensor(absl::string_view name);

// INVALID_ARGUMENT: "safetensors: WHERE: expected EXPECTED, found FOUND".
absl::Status TensorFileError(absl::string_view where,
                             absl::string_view expected,
                             absl::string_view found);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_TENSOR_HEADER_H_
