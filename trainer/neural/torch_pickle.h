// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NEURAL_TORCH_PICKLE_H_
#define LMSERVE_TRAINER_NEURAL_TORCH_PICKLE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/neural/tensor_file.h"

namespace lmserve {

// What a pickle of torch.save() contains, as data. A pickle is a program for a
// stack machine that may import and call anything; this reader executes nothing
// and knows only what dictionaries of tensors, numbers and strings need. It
// refuses every other instruction and every other class by name.
class TorchPickle {
 public:
  using Id = uint32_t;  // index of a value

  enum class Kind {
    kNone,
    kBool,
    kInteger,
    kFloat,
    kString,
    kTuple,
    kList,
    kDict,
    kClass,    // a class or function that is named, but not called
    kStorage,  // numbers that tensors view
    kTensor,
  };

  struct Value {
    Kind kind = Kind::kNone;
    // kInteger, kBool: the number. kStorage, kTensor: index of storages(),
    // tensors().
    int64_t number = 0;
    absl::string_view text = {};  // kString; kClass: "module\nname"
    std::vector<Id> items = {};   // kTuple, kList; kDict: key, value, key, ...
  };

  struct Storage {
    TensorType type;
    absl::string_view key;  // name of its file in the archive
    int64_t size;           // number of numbers
  };

  struct Tensor {
    size_t storage;  // index of storages()
    int64_t offset;  // in numbers, at least 0
    std::vector<int64_t> shape;
    std::vector<int64_t> strides;  // as many, at least 0
  };

  // Parses a pickle of the protocols 2 to 5. The bytes are not trusted and must
  // outlive the object. Needs memory in proportion to the bytes and does not
  // recurse. A container may contain itself. Returns INVALID_ARGUMENT with the
  // offset of the byte, what was expected and what was found.
  static absl::StatusOr<TorchPickle> Parse(absl::string_view bytes);

  const Value& value(Id id) const { return values_[id]; }
  const Value& root() const { return values_[root_]; }
  const std::vector<Storage>& storages() const { return storages_; }
  const std::vector<Tensor>& tensors() const { return tensors_; }

  // Describes a value for an error message, such as "a list".
  static absl::string_view Describe(Kind kind);

 private:
  class Machine;

  TorchPickle() = default;

  std::vector<Value> values_;
  std::vector<Storage> storages_;
  std::vector<Tensor> tensors_;
  Id root_ = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_TORCH_PICKLE_H_
