// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NEURAL_TENSOR_FILE_H_
#define LMSERVE_MODELS_NEURAL_TENSOR_FILE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lmserve {

// Reads and writes files in the safetensors format, which holds named tensors,
// such as weights.safetensors. See model_store/FORMAT.md.

// The number types that are supported, in the order in which the reference
// writer of the format sorts tensors: types with a larger alignment are
// greater.
enum class TensorType {
  kBool,
  kU8,
  kI8,
  kI16,
  kU16,
  kF16,
  kBf16,
  kI32,
  kU32,
  kF32,
  kF64,
  kI64,
  kU64,
};

// Returns the name of a type in a file, such as "F32".
absl::string_view TensorTypeName(TensorType type);

// Returns the size of a number in bytes.
size_t TensorTypeSize(TensorType type);

// Whether a type is F64, F32, F16 or BF16.
bool IsFloatType(TensorType type);

inline constexpr size_t kMaxTensorRank = 64;

// A view of one row-major tensor in the caller's memory. The numbers may be at
// any address. They are aligned in files of TensorFileWriter and of the
// reference writer if the start of the file is aligned to 8 bytes.
struct TensorView {
  TensorType type;
  std::vector<int64_t> shape;  // sizes of at least 0; empty: one number
  absl::string_view bytes;     // its size matches shape and type

  size_t size() const { return bytes.size() / TensorTypeSize(type); }
  bool is_aligned() const {
    return reinterpret_cast<uintptr_t>(bytes.data()) % TensorTypeSize(type) ==
           0;
  }
};

// Converts the numbers of a tensor to float: F32, F16 and BF16 exactly, F64
// rounded to nearest. The bytes need no alignment. Thread-safe.
// REQUIRES: IsFloatType(tensor.type); floats.size() == tensor.size().
void CopyFloats(const TensorView& tensor, absl::Span<float> floats);

// Views of the tensors of a file. Does not own the bytes of the file, which
// must outlive all copies. Remembers which tensors were looked up, so that
// CheckAllRead() can name the others. Not thread-safe.
class TensorFile {
 public:
  using Tensors = std::map<std::string, TensorView, std::less<>>;

  // Checks the whole header against the bytes, so that later reads of tensors
  // need no checks. Returns INVALID_ARGUMENT with the tensor, the expected and
  // the found value. Does not check the numbers in tensors, which may be NaN.
  static absl::StatusOr<TensorFile> Parse(absl::string_view bytes);

  // All tensors by name. Looking at them here does not count as reading them.
  const Tensors& tensors() const { return tensors_; }

  // The metadata in the header.
  const std::map<std::string, std::string>& metadata() const {
    return metadata_;
  }

  // Returns a tensor, or null if the file does not have it. The pointer is
  // valid as long as this object.
  const TensorView* Find(absl::string_view name) const;

  // Returns the tensor of the given type and shape, or INVALID_ARGUMENT:
  // "safetensors: tensor 'a': expected F32 [2, 3], found F32 [3, 2]".
  absl::StatusOr<TensorView> Get(absl::string_view name, TensorType type,
                                 absl::Span<const int64_t> shape) const;

  // Returns a tensor of the given shape and any floating-point type, converted
  // by CopyFloats(). Fails as Get() does.
  absl::StatusOr<std::vector<float>> GetFloats(
      absl::string_view name, absl::Span<const int64_t> shape) const;

  // Returns INVALID_ARGUMENT that names a tensor if Find(), Get() and
  // GetFloats() have not found all of them: without it the file would be
  // another model.
  absl::Status CheckAllRead() const;

 private:
  TensorFile() = default;

  Tensors tensors_;
  std::map<std::string, std::string> metadata_;
  mutable std::set<std::string, std::less<>> read_;  // names of tensors
};

// Builds the bytes of a file, identical to those of the reference writer of the
// format. All text must be UTF-8. Not thread-safe.
class TensorFileWriter {
 public:
  // Adds a tensor. REQUIRES: the name is new and not "__metadata__"; the size
  // of the bytes matches type and shape; the bytes stay valid until Finish().
  void Add(absl::string_view name, TensorView tensor);

  // Adds a tensor of type F32. REQUIRES: see Add().
  void AddFloats(absl::string_view name, std::vector<int64_t> shape,
                 absl::Span<const float> floats);

  void SetMetadata(absl::string_view key, absl::string_view value);

  // Returns the file. Its tensors are sorted by descending type, then by name.
  std::string Finish() const;

 private:
  TensorFile::Tensors tensors_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_TENSOR_FILE_H_
