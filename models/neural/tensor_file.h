#ifndef LMSERVE_MODELS_NEURAL_TENSOR_FILE_H_
#define LMSERVE_MODELS_NEURAL_TENSOR_FILE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lmserve {

// The bytes of a safetensors file, as weights.safetensors is one: named tensors
// of numbers. See model_store/FORMAT.md.

// The types that are read and written, in the order in which the format's own
// writer sorts them: what needs a wider alignment is greater.
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

// The dtype in a file, as "F32".
absl::string_view TensorTypeName(TensorType type);

// Bytes of a number.
size_t TensorTypeSize(TensorType type);

// Whether it is F64, F32, F16 or BF16.
bool IsFloatType(TensorType type);

inline constexpr size_t kMaxTensorRank = 64;

// One tensor, row by row, in memory of someone else's. The numbers stand at any
// address: they are aligned where is_aligned() says so, which holds for files
// that TensorFileWriter or the format's own writer made, read at a multiple of
// 8 bytes.
struct TensorView {
  TensorType type;
  std::vector<int64_t> shape;  // none below 0; empty: one number
  absl::string_view bytes;     // as many as shape and type ask for

  size_t size() const { return bytes.size() / TensorTypeSize(type); }
  bool is_aligned() const {
    return reinterpret_cast<uintptr_t>(bytes.data()) % TensorTypeSize(type) ==
           0;
  }
};

// Writes a tensor's numbers as floats: F32, F16 and BF16 exactly, F64 rounded
// to the nearest. REQUIRES: IsFloatType(tensor.type), and
// floats.size() == tensor.size(). The bytes need no alignment.
void CopyFloats(const TensorView& tensor, absl::Span<float> floats);

// Views of a file's tensors. Copies share the bytes, which must outlive them.
// Immutable once made: any number of threads may use one at a time.
class TensorFile {
 public:
  using Tensors = std::map<std::string, TensorView, std::less<>>;

  // Checks the whole header against the bytes, so that nothing that reads the
  // tensors later has to. Fails with INVALID_ARGUMENT, naming the tensor, the
  // expected and the found. The numbers themselves may be any, NaN too.
  static absl::StatusOr<TensorFile> Parse(absl::string_view bytes);

  // By name.
  const Tensors& tensors() const { return tensors_; }

  // What the header says besides.
  const std::map<std::string, std::string>& metadata() const {
    return metadata_;
  }

  // Null where there is none. The view lives as long as this object.
  const TensorView* Find(absl::string_view name) const;

  // The tensor of that very type and shape, else INVALID_ARGUMENT:
  // "safetensors: tensor 'a': expected F32 [2, 3], found F32 [3, 2]".
  absl::StatusOr<TensorView> Get(absl::string_view name, TensorType type,
                                 absl::Span<const int64_t> shape) const;

  // The same for a tensor of any type of float, converted by CopyFloats().
  absl::StatusOr<std::vector<float>> GetFloats(
      absl::string_view name, absl::Span<const int64_t> shape) const;

 private:
  TensorFile() = default;

  Tensors tensors_;
  std::map<std::string, std::string> metadata_;
};

// Makes the bytes of a file, to the byte those of the format's own writer. All
// text must be UTF-8. For one thread.
class TensorFileWriter {
 public:
  // Adds a tensor. REQUIRES: the name is new and not "__metadata__"; the bytes
  // are as many as type and shape ask for, and live until Finish().
  void Add(absl::string_view name, TensorView tensor);

  // Adds a tensor of type F32. REQUIRES: as Add().
  void AddFloats(absl::string_view name, std::vector<int64_t> shape,
                 absl::Span<const float> floats);

  void SetMetadata(absl::string_view key, absl::string_view value);

  // The file: its tensors stand by falling type, then by name.
  std::string Finish() const;

 private:
  TensorFile::Tensors tensors_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_TENSOR_FILE_H_
