// SPDX-License-Identifier: Apache-2.0
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

// The JSON header of a safetensors file.
struct TensorHeader {
  struct Tensor {
    std::string name;
    TensorType type;
    std::vector<int64_t> shape;
    uint64_t begin;  // offsets of its bytes, relative to the end of the header
    uint64_t end;
  };

  std::vector<Tensor> tensors;
  std::map<std::string, std::string> metadata;

  // Parses the text of a header. It must be UTF-8 JSON with exactly the fields
  // of a header, without duplicate names and negative numbers. The numbers are
  // not checked further. Needs memory in proportion to the text, and does not
  // recurse. Fails with TensorFileError().
  static absl::StatusOr<TensorHeader> Parse(absl::string_view json);

  // Returns the text of the header, with the tensors in their order, without
  // padding.
  std::string ToJson() const;
};

// Quotes a name for an error message: escapes it and cuts it if it is long.
std::string QuoteTensor(absl::string_view name);

// Returns INVALID_ARGUMENT with the message
// "safetensors: WHERE: expected EXPECTED, found FOUND".
absl::Status TensorFileError(absl::string_view where,
                             absl::string_view expected,
                             absl::string_view found);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_TENSOR_HEADER_H_
