// SPDX-License-Identifier: Apache-2.0
#include "trainer/neural/torch_pickle.h"

#include <cstring>
#include <optional>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "models/quoted.h"

namespace lmserve {
namespace {

// A state_dict has about 20 values for each tensor, a vocabulary one for each
// word. Each value takes some 60 bytes.
constexpr size_t kMostValues = 8'000'000;

// The instructions, as Python's pickletools names them.
enum Opcode : uint8_t {
  kMark = '(',
  kStop = '.',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kBinInt2 = 'M',
  kNone = 'N',
  kBinPersid = 'Q',
  kReduce = 'R',
  kBinUnicode = 'X',
  kAppend = 'a',
  kBuild = 'b',
  kGlobal = 'c',
  kEmptyDict = '}',
  kAppends = 'e',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kEmptyList = ']',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kSetItem = 's',
  kTuple = 't',
  kEmptyTuple = ')',
  kSetItems = 'u',
  kBinFloat = 'G',
  kProto = 0x80,
  kNewObj = 0x81,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kLong1 = 0x8a,
  kShortBinUnicode = 0x8c,
  kStackGlobal = 0x93,
  kMemoize = 0x94,
  kFrame = 0x95,
};

constexpr absl::string_view kOrderedDict = "collections\nOrderedDict";
constexpr absl::string_view kCounter = "collections\nCounter";
constexpr absl::string_view kRebuildTensor = "torch._utils\n_rebuild_tensor_v2";
constexpr absl::string_view kRebuildParameter =
    "torch._utils\n_rebuild_parameter";
// Objects of these classes are the dictionary of their fields.
constexpr absl::string_view kVocabularies[] = {"torchtext.vocab\nVocab",
                                               "torchtext.legacy.vocab\nVocab"};

constexpr std::pair<absl::string_view, TensorType> kStorages[] = {
    {"torch\nFloatStorage", TensorType::kF32},
    {"torch\nDoubleStorage", TensorType::kF64},
    {"torch\nHalfStorage", TensorType::kF16},
    {"torch\nBFloat16Storage", TensorType::kBf16},
    {"torch\nLongStorage", TensorType::kI64},
    {"torch\nIntStorage", TensorType::kI32},
    {"torch\nShortStorage", TensorType::kI16},
    {"torch\nCharStorage", TensorType::kI8},
    {"torch\nByteStorage", TensorType::kU8},
    {"torch\nBoolStorage", TensorType::kBool},
};

std::optional<TensorType> StorageType(absl::string_view name) {
  for (const auto& [known, type] : kStorages) {
    if (known == name) return type;
  }
  return std::nullopt;
}

bool IsVocabulary(absl::string_view name) {
  for (absl::string_view known : kVocabularies) {
    if (known == name) return true;
  }
  return false;
}

bool IsKnownClass(absl::string_view name) {
  return name == kOrderedDict || name == kCounter || name == kRebuildTensor ||
         name == kRebuildParameter || IsVocabulary(name) ||
         StorageType(name).has_value();
}

// Formats "module\nname" as "module.name".
std::string ClassName(absl::string_view name) {
  return absl::StrReplaceAll(name, {{"\n", "."}});
}

}  // namespace

absl::string_view TorchPickle::Describe(Kind kind) {
  switch (kind) {
    case Kind::kNone:
      return "None";
    case Kind::kBool:
      return "a truth value";
    case Kind::kInteger:
      return "an integer";
    case Kind::kFloat:
      return "a number";
    case Kind::kString:
      return "a string";
    case Kind::kTuple:
      return "a tuple";
    case Kind::kList:
      return "a list";
    case Kind::kDict:
      return "a dictionary";
    case Kind::kClass:
      return "a class";
    case Kind::kStorage:
      return "a storage";
    case Kind::kTensor:
      return "a tensor";
  }
  return "";
}

// The stack machine. Every error is that of the instruction at begin_.
class TorchPickle::Machine {
 public:
  explicit Machine(absl::string_view bytes) : bytes_(bytes) {}

  absl::StatusOr<TorchPickle> Run() {
    while (!stopped_) {
      begin_ = at_;
      uint8_t opcode = 0;
      absl::Status status = Read(&opcode);
      if (status.ok()) status = Execute(opcode);
      if (!status.ok()) return status;
    }
    return std::move(pickle_);
  }

 private:
  template <typename... Parts>
  absl::Status Bad(const Parts&... parts) const {
    return absl::InvalidArgumentError(
        absl::StrCat("pickle: byte ", begin_, ": ", parts...));
  }

  absl::Status Execute(uint8_t opcode) {
    switch (opcode) {
      case kProto:
        return ReadProtocol();
      case kFrame:
        return Skip(8);
      case kStop:
        return Stop();
      case kMark:
        marks_.push_back(stack_.size());
        return absl::OkStatus();
      case kNone:
        return Push({});
      case kNewTrue:
      case kNewFalse:
        return Push({.kind = Kind::kBool, .number = opcode == kNewTrue});
      case kBinInt1:
        return PushInteger<uint8_t>();
      case kBinInt2:
        return PushInteger<uint16_t>();
      case kBinInt:
        return PushInteger<int32_t>();
      case kLong1:
        return PushLong();
      case kBinFloat: {
        absl::Status status = Skip(8);
        return status.ok() ? Push({.kind = Kind::kFloat}) : status;
      }
      case kBinUnicode:
        return PushString<uint32_t>();
      case kShortBinUnicode:
        return PushString<uint8_t>();
      case kEmptyTuple:
        return Push({.kind = Kind::kTuple});
      case kEmptyList:
        return Push({.kind = Kind::kList});
      case kEmptyDict:
        return Push({.kind = Kind::kDict});
      case kTuple1:
      case kTuple2:
      case kTuple3:
        return PushTuple(opcode - kTuple1 + 1);
      case kTuple: {
        const absl::StatusOr<size_t> count = PopMark();
        return count.ok() ? PushTuple(*count) : count.status();
      }
      case kAppend:
        return AddItems(Kind::kList, 1);
      case kAppends: {
        const absl::StatusOr<size_t> count = PopMark();
        return count.ok() ? AddItems(Kind::kList, *count) : count.status();
      }
      case kSetItem:
        return AddItems(Kind::kDict, 2);
      case kSetItems: {
        const absl::StatusOr<size_t> count = PopMark();
        return count.ok() ? AddItems(Kind::kDict, *count) : count.status();
      }
      case kBinPut:
        return Put<uint8_t>();
      case kLongBinPut:
        return Put<uint32_t>();
      case kMemoize:
        return PutAt(memo_.size());
      case kBinGet:
        return Get<uint8_t>();
      case kLongBinGet:
        return Get<uint32_t>();
      case kGlobal:
        return PushGlobal();
      case kStackGlobal:
        return PushStackGlobal();
      case kBinPersid:
        return PushStorage();
      case kReduce:
        return Call(/*is_new=*/false);
      case kNewObj:
        return Call(/*is_new=*/true);
      case kBuild:
        return SetFields();
      default:
        return Bad("expected an instruction of a dictionary of tensors, found ",
                   static_cast<int>(opcode));
    }
  }

  // Reading bytes.

  template <typename Number>
  absl::Status Read(Number* number) {
    if (bytes_.size() - at_ < sizeof(*number)) return Short(sizeof(*number));
    std::memcpy(number, bytes_.data() + at_, sizeof(*number));
    at_ += sizeof(*number);
    return absl::OkStatus();
  }

  absl::Status Skip(size_t count) {
    if (bytes_.size() - at_ < count) return Short(count);
    at_ += count;
    return absl::OkStatus();
  }

  absl::Status Short(size_t count) const {
    return Bad("expected ", count, " more bytes, found ", bytes_.size() - at_);
  }

  absl::Status ReadLine(absl::string_view* line) {
    const size_t end = bytes_.find('\n', at_);
    if (end == absl::string_view::npos) {
      return Bad("expected a line, found none");
    }
    *line = bytes_.substr(at_, end - at_);
    at_ = end + 1;
    return absl::OkStatus();
  }

  absl::Status ReadProtocol() {
    uint8_t protocol = 0;
    absl::Status status = Read(&protocol);
    if (!status.ok()) return status;
    if (protocol >= 2 && protocol <= 5) return absl::OkStatus();
    return Bad("expected protocol 2 to 5, found ", static_cast<int>(protocol));
  }

  // The stack.

  absl::Status Push(Value value) {
    if (pickle_.values_.size() == kMostValues) {
      return Bad("expected at most ", kMostValues, " values, found more");
    }
    stack_.push_back(static_cast<Id>(pickle_.values_.size()));
    pickle_.values_.push_back(std::move(value));
    return absl::OkStatus();
  }

  // Fails if fewer than `count` values are above the last mark.
  absl::Status Need(size_t count) const {
    const size_t found = stack_.size() - (marks_.empty() ? 0 : marks_.back());
    if (found >= count) return absl::OkStatus();
    return Bad("expected ", count, " values on the stack, found ", found);
  }

  // Removes the last mark and returns the number of values above it.
  absl::StatusOr<size_t> PopMark() {
    if (marks_.empty()) return Bad("expected a mark on the stack, found none");
    const size_t count = stack_.size() - marks_.back();
    marks_.pop_back();
    return count;
  }

  Value& Top(size_t below = 0) {
    return pickle_.values_[stack_[stack_.size() - 1 - below]];
  }
  const Value& At(Id id) const { return pickle_.values_[id]; }

  absl::Status Stop() {
    absl::Status status = Need(1);
    if (!status.ok()) return status;
    if (stack_.size() != 1 || !marks_.empty()) {
      return Bad("expected one value at the end, found ", stack_.size());
    }
    pickle_.root_ = stack_[0];
    stopped_ = true;
    if (at_ == bytes_.size()) return absl::OkStatus();
    return Bad("expected the end, found ", bytes_.size() - at_, " more bytes");
  }

  template <typename Number>
  absl::Status PushInteger() {
    Number number = 0;
    absl::Status status = Read(&number);
    if (!status.ok()) return status;
    return Push({.kind = Kind::kInteger, .number = number});
  }

  // An integer of some bytes, little-endian in two's complement.
  absl::Status PushLong() {
    uint8_t size = 0;
    absl::Status status = Read(&size);
    if (!status.ok()) return status;
    if (size > sizeof(int64_t)) {
      return Bad("expected an integer of at most 64 bits, found ", 8 * size);
    }
    if (bytes_.size() - at_ < size) return Short(size);
    uint64_t number = 0;
    std::memcpy(&number, bytes_.data() + at_, size);
    at_ += size;
    if (size > 0 && size < sizeof(number) && number >> (8 * size - 1) != 0) {
      number |= ~uint64_t{0} << 8 * size;
    }
    return Push(
        {.kind = Kind::kInteger, .number = static_cast<int64_t>(number)});
  }

  template <typename Size>
  absl::Status PushString() {
    Size size = 0;
    absl::Status status = Read(&size);
    if (!status.ok()) return status;
    const size_t begin = at_;
    status = Skip(size);
    if (!status.ok()) return status;
    return Push({.kind = Kind::kString, .text = bytes_.substr(begin, size)});
  }

  absl::Status PushTuple(size_t count) {
    absl::Status status = Need(count);
    if (!status.ok()) return status;
    Value tuple = {.kind = Kind::kTuple,
                   .items = {stack_.end() - count, stack_.end()}};
    stack_.resize(stack_.size() - count);
    return Push(std::move(tuple));
  }

  // Moves the last values into the list or dictionary below them.
  absl::Status AddItems(Kind kind, size_t count) {
    absl::Status status = Need(count + 1);
    if (!status.ok()) return status;
    Value& container = Top(count);
    if (container.kind != kind) {
      return Bad("expected ", Describe(kind), ", found ",
                 Describe(container.kind));
    }
    if (kind == Kind::kDict && count % 2 != 0) {
      return Bad("expected keys and values, found an odd number");
    }
    container.items.insert(container.items.end(), stack_.end() - count,
                           stack_.end());
    stack_.resize(stack_.size() - count);
    return absl::OkStatus();
  }

  // The memo.

  template <typename Number>
  absl::Status Put() {
    Number index = 0;
    absl::Status status = Read(&index);
    return status.ok() ? PutAt(index) : status;
  }

  absl::Status PutAt(uint64_t index) {
    absl::Status status = Need(1);
    if (status.ok()) memo_[index] = stack_.back();
    return status;
  }

  template <typename Number>
  absl::Status Get() {
    Number index = 0;
    absl::Status status = Read(&index);
    if (!status.ok()) return status;
    const auto found = memo_.find(index);
    if (found == memo_.end()) {
      return Bad("expected a value that was stored, found none at ", index);
    }
    if (stack_.size() == kMostValues) {
      return Bad("expected at most ", kMostValues,
                 " values on the stack, found more");
    }
    stack_.push_back(found->second);
    return absl::OkStatus();
  }

  // Classes and what is called.

  absl::Status PushGlobal() {
    const size_t begin = at_;
    absl::string_view line;
    absl::Status status = ReadLine(&line);
    if (status.ok()) status = ReadLine(&line);
    if (!status.ok()) return status;
    return PushClass(bytes_.substr(begin, at_ - 1 - begin));
  }

  absl::Status PushStackGlobal() {
    absl::Status status = Need(2);
    if (!status.ok()) return status;
    const std::string name = absl::StrCat(Top(1).text, "\n", Top().text);
    stack_.resize(stack_.size() - 2);
    return PushClass(name);
  }

  absl::Status PushClass(absl::string_view name) {
    if (!IsKnownClass(name)) {
      return Bad("expected tensors and plain data, found the class ",
                 Quoted(ClassName(name)),
                 "; save only the state_dict: "
                 "torch.save(model.state_dict(), FILE)");
    }
    // The name is a view of a constant, also if it was made of two strings.
    return Push({.kind = Kind::kClass, .text = KnownName(name)});
  }

  static absl::string_view KnownName(absl::string_view name) {
    for (absl::string_view known :
         {kOrderedDict, kCounter, kRebuildTensor, kRebuildParameter}) {
      if (known == name) return known;
    }
    for (absl::string_view known : kVocabularies) {
      if (known == name) return known;
    }
    for (const auto& [known, type] : kStorages) {
      if (known == name) return known;
    }
    return "";
  }

  // Replaces ('storage', class, key, location, size) by the storage.
  absl::Status PushStorage() {
    absl::Status status = Need(1);
    if (!status.ok()) return status;
    const Value& id = Top();
    const bool is_storage = id.kind == Kind::kTuple && id.items.size() == 5 &&
                            At(id.items[0]).text == "storage" &&
                            At(id.items[1]).kind == Kind::kClass &&
                            StorageType(At(id.items[1]).text).has_value() &&
                            At(id.items[2]).kind == Kind::kString &&
                            At(id.items[4]).kind == Kind::kInteger &&
                            At(id.items[4]).number >= 0;
    if (!is_storage) return Bad("expected a storage, found another object");
    const Storage storage = {*StorageType(At(id.items[1]).text),
                             At(id.items[2]).text, At(id.items[4]).number};
    stack_.pop_back();
    pickle_.storages_.push_back(storage);
    return Push({.kind = Kind::kStorage,
                 .number = static_cast<int64_t>(pickle_.storages_.size() - 1)});
  }

  absl::Status Call(bool is_new) {
    absl::Status status = Need(2);
    if (!status.ok()) return status;
    const Value& called = Top(1);
    const Value& arguments = Top();
    if (called.kind != Kind::kClass || arguments.kind != Kind::kTuple) {
      return Bad("expected a class and its arguments, found ",
                 Describe(called.kind), " and ", Describe(arguments.kind));
    }
    const std::vector<Id> given = arguments.items;
    const absl::string_view name = called.text;
    stack_.resize(stack_.size() - 2);
    if (is_new ? IsVocabulary(name) : name == kOrderedDict) {
      if (given.empty()) return Push({.kind = Kind::kDict});
    } else if (name == kCounter && !is_new) {
      if (given.size() == 1 && At(given[0]).kind == Kind::kDict) {
        stack_.push_back(given[0]);
        return absl::OkStatus();
      }
    } else if (name == kRebuildTensor && !is_new) {
      return PushTensor(given);
    } else if (name == kRebuildParameter && !is_new) {
      if (!given.empty() && At(given[0]).kind == Kind::kTensor) {
        stack_.push_back(given[0]);
        return absl::OkStatus();
      }
    }
    return Bad("expected a tensor or a dictionary, found a call of ",
               Quoted(ClassName(name)), " with ", given.size(), " arguments");
  }

  // The arguments are storage, offset, shape, strides, whether the tensor
  // requires a gradient, and hooks.
  absl::Status PushTensor(absl::Span<const Id> given) {
    if (given.size() < 4 || At(given[0]).kind != Kind::kStorage ||
        At(given[1]).kind != Kind::kInteger || At(given[1]).number < 0) {
      return Bad("expected a storage, an offset, a shape and strides, found ",
                 given.size(), " arguments");
    }
    Tensor tensor = {static_cast<size_t>(At(given[0]).number),
                     At(given[1]).number};
    for (auto [id, numbers] : {std::pair(given[2], &tensor.shape),
                               std::pair(given[3], &tensor.strides)}) {
      if (At(id).kind != Kind::kTuple || At(id).items.size() > kMaxTensorRank) {
        return Bad("expected a tuple of at most ", kMaxTensorRank,
                   " numbers, found ", Describe(At(id).kind));
      }
      for (Id item : At(id).items) {
        if (At(item).kind != Kind::kInteger || At(item).number < 0) {
          return Bad("expected a number of at least 0, found ",
                     Describe(At(item).kind));
        }
        numbers->push_back(At(item).number);
      }
    }
    if (tensor.shape.size() != tensor.strides.size()) {
      return Bad("expected ", tensor.shape.size(), " strides, found ",
                 tensor.strides.size());
    }
    pickle_.tensors_.push_back(std::move(tensor));
    return Push({.kind = Kind::kTensor,
                 .number = static_cast<int64_t>(pickle_.tensors_.size() - 1)});
  }

  // Sets the fields of the object below the last value. A state_dict has a
  // field _metadata, with the versions of its modules. A vocabulary is the
  // dictionary of its fields.
  absl::Status SetFields() {
    absl::Status status = Need(2);
    if (!status.ok()) return status;
    Value& object = Top(1);
    const Value& fields = Top();
    if (object.kind != Kind::kDict || fields.kind != Kind::kDict) {
      return Bad("expected a dictionary and its fields, found ",
                 Describe(object.kind), " and ", Describe(fields.kind));
    }
    const bool is_metadata =
        fields.items.size() == 2 && At(fields.items[0]).text == "_metadata";
    if (!is_metadata) {
      if (!object.items.empty()) {
        return Bad("expected a dictionary without fields, found ",
                   fields.items.size() / 2, " fields");
      }
      object.items = fields.items;
    }
    stack_.pop_back();
    return absl::OkStatus();
  }

  const absl::string_view bytes_;
  size_t at_ = 0;
  size_t begin_ = 0;  // of the instruction that is executed
  bool stopped_ = false;
  std::vector<Id> stack_;
  std::vector<size_t> marks_;  // sizes of the stack
  absl::flat_hash_map<uint64_t, Id> memo_;
  TorchPickle pickle_;
};

absl::StatusOr<TorchPickle> TorchPickle::Parse(absl::string_view bytes) {
  return Machine(bytes).Run();
}

}  // namespace lmserve
