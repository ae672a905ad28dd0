// SPDX-License-Identifier: Apache-2.0
#include "models/neural/tensor_file.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <limits>
#include <utility>

#include "Eigen/Core"
#include "absl/base/macros.h"
#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "models/neural/tensor_header.h"

namespace lmserve {
namespace {

static_assert(std::endian::native == std::endian::little,
              "safetensors is little-endian and used in place");

constexpr uint64_t kMaxHeaderSize = 100'000'000;

std::string TensorText(absl::string_view type,
                       absl::Span<const int64_t> shape) {
  return absl::StrCat(type, " [", absl::StrJoin(shape, ", "), "]");
}

absl::Status WrongTensor(absl::string_view name, absl::string_view type,
                         absl::Span<const int64_t> shape,
                         const TensorView* found) {
  return TensorFileError(
      absl::StrCat("tensor ", QuoteTensor(name)), TensorText(type, shape),
      found == nullptr ? "none"
                       : TensorText(TensorTypeName(found->type), found->shape));
}

// Returns the size of a tensor in bytes. Fails if the product of its dimensions
// overflows; dimensions of 0 are left out of that check, so that no product of
// some of the dimensions overflows either.
absl::StatusOr<uint64_t> ByteSize(const TensorHeader::Tensor& tensor) {
  uint64_t left = std::numeric_limits<int64_t>::max();
  left /= TensorTypeSize(tensor.type);
  uint64_t size = TensorTypeSize(tensor.type);
  for (int64_t dimension : tensor.shape) {
    if (dimension > 0) left /= dimension;
    size *= dimension;
  }
  if (left == 0) {
    return TensorFileError(
        absl::StrCat("tensor ", QuoteTensor(tensor.name)),
        "fewer than 2^63 bytes",
        TensorText(TensorTypeName(tensor.type), tensor.shape));
  }
  return size;
}

// Checks that a tensor begins where the previous one ended, that its size
// matches its type and shape, and that it ends within the file.
absl::Status CheckOffsets(const TensorHeader::Tensor& tensor,
                          uint64_t expected_begin, uint64_t data_size) {
  const auto broken = [&](absl::string_view what, auto expected, auto found) {
    return TensorFileError(
        absl::StrCat("tensor ", QuoteTensor(tensor.name), ": ", what),
        absl::StrCat(expected), absl::StrCat(found));
  };
  if (tensor.begin != expected_begin) {
    return broken("begin (tensors must be contiguous)", expected_begin,
                  tensor.begin);
  }
  if (tensor.end < tensor.begin || tensor.end > data_size) {
    return broken("end", absl::StrCat(tensor.begin, " to ", data_size),
                  tensor.end);
  }
  const auto size = ByteSize(tensor);
  if (!size.ok()) return size.status();
  if (tensor.end - tensor.begin != *size) {
    return broken(
        "bytes",
        absl::StrCat(*size, " for ",
                     TensorText(TensorTypeName(tensor.type), tensor.shape)),
        tensor.end - tensor.begin);
  }
  return absl::OkStatus();
}

// Removes the header from the front of *bytes, so that the data of the tensors
// remains, and returns its text.
absl::StatusOr<absl::string_view> TakeHeader(absl::string_view* bytes) {
  uint64_t size;
  if (bytes->size() < sizeof(size)) {
    return TensorFileError("size of the header", "8 bytes",
                           absl::StrCat(bytes->size()));
  }
  std::memcpy(&size, bytes->data(), sizeof(size));
  bytes->remove_prefix(sizeof(size));
  const uint64_t limit = std::min<uint64_t>(kMaxHeaderSize, bytes->size());
  if (size > limit) {
    return TensorFileError("size of the header",
                           absl::StrCat("at most ", limit), absl::StrCat(size));
  }
  const absl::string_view header = bytes->substr(0, size);
  bytes->remove_prefix(size);
  return header;
}

template <typename T>
void CopyAs(absl::string_view bytes, absl::Span<float> floats) {
  for (size_t i = 0; i < floats.size(); ++i) {
    std::array<char, sizeof(T)> one;
    std::memcpy(one.data(), bytes.data() + i * sizeof(T), sizeof(T));
    floats[i] = static_cast<float>(Eigen::numext::bit_cast<T>(one));
  }
}

}  // namespace

absl::string_view TensorTypeName(TensorType type) {
  switch (type) {
    case TensorType::kBool:
      return "BOOL";
    case TensorType::kU8:
      return "U8";
    case TensorType::kI8:
      return "I8";
    case TensorType::kI16:
      return "I16";
    case TensorType::kU16:
      return "U16";
    case TensorType::kF16:
      return "F16";
    case TensorType::kBf16:
      return "BF16";
    case TensorType::kI32:
      return "I32";
    case TensorType::kU32:
      return "U32";
    case TensorType::kF32:
      return "F32";
    case TensorType::kF64:
      return "F64";
    case TensorType::kI64:
      return "I64";
    case TensorType::kU64:
      return "U64";
  }
  return "";
}

size_t TensorTypeSize(TensorType type) {
  if (type < TensorType::kI16) return 1;
  if (type < TensorType::kI32) return 2;
  return type < TensorType::kF64 ? 4 : 8;
}

bool IsFloatType(TensorType type) {
  return type == TensorType::kF64 || type == TensorType::kF32 ||
         type == TensorType::kF16 || type == TensorType::kBf16;
}

void CopyFloats(const TensorView& tensor, absl::Span<float> floats) {
  ABSL_ASSERT(floats.size() == tensor.size());
  switch (tensor.type) {
    case TensorType::kF32:
      return CopyAs<float>(tensor.bytes, floats);
    case TensorType::kF64:
      return CopyAs<double>(tensor.bytes, floats);
    case TensorType::kF16:
      return CopyAs<Eigen::half>(tensor.bytes, floats);
    case TensorType::kBf16:
      return CopyAs<Eigen::bfloat16>(tensor.bytes, floats);
    default:
      ABSL_ASSERT(IsFloatType(tensor.type));
  }
}

absl::StatusOr<TensorFile> TensorFile::Parse(absl::string_view bytes) {
  const auto text = TakeHeader(&bytes);
  if (!text.ok()) return text.status();
  auto header = TensorHeader::Parse(*text);
  if (!header.ok()) return header.status();

  std::sort(header->tensors.begin(), header->tensors.end(),
            [](const auto& a, const auto& b) {
              return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
            });
  TensorFile file;
  uint64_t end = 0;
  for (TensorHeader::Tensor& tensor : header->tensors) {
    absl::Status status = CheckOffsets(tensor, end, bytes.size());
    if (!status.ok()) return status;
    end = tensor.end;
    TensorView view = {tensor.type, std::move(tensor.shape),
                       bytes.substr(tensor.begin, end - tensor.begin)};
    file.tensors_.emplace(std::move(tensor.name), std::move(view));
  }
  if (end != bytes.size()) {
    return TensorFileError("end of the tensors", absl::StrCat(bytes.size()),
                           absl::StrCat(end));
  }
  file.metadata_ = std::move(header->metadata);
  return file;
}

const TensorView* TensorFile::Find(absl::string_view name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) return nullptr;
  read_.insert(found->first);
  return &found->second;
}

absl::Status TensorFile::CheckAllRead() const {
  for (const auto& [name, tensor] : tensors_) {
    if (read_.contains(name)) continue;
    return absl::InvalidArgumentError(absl::StrCat(
        "tensor '", absl::CHexEscape(absl::string_view(name).substr(0, 100)),
        "': expected only tensors that the network uses, found one that it "
        "does not use"));
  }
  return absl::OkStatus();
}

absl::StatusOr<TensorView> TensorFile::Get(
    absl::string_view name, TensorType type,
    absl::Span<const int64_t> shape) const {
  const TensorView* tensor = Find(name);
  if (tensor == nullptr || tensor->type != type || tensor->shape != shape) {
    return WrongTensor(name, TensorTypeName(type), shape, tensor);
  }
  return *tensor;
}

absl::StatusOr<std::vector<float>> TensorFile::GetFloats(
    absl::string_view name, absl::Span<const int64_t> shape) const {
  const TensorView* tensor = Find(name);
  if (tensor == nullptr || !IsFloatType(tensor->type) ||
      tensor->shape != shape) {
    return WrongTensor(name, "floats", shape, tensor);
  }
  std::vector<float> floats(tensor->size());
  CopyFloats(*tensor, absl::MakeSpan(floats));
  return floats;
}

void TensorFileWriter::Add(absl::string_view name, TensorView tensor) {
  ABSL_ASSERT(name != "__metadata__");
  const bool added =
      tensors_.emplace(std::string(name), std::move(tensor)).second;
  ABSL_ASSERT(added);
  (void)added;
}

void TensorFileWriter::AddFloats(absl::string_view name,
                                 std::vector<int64_t> shape,
                                 absl::Span<const float> floats) {
  const absl::string_view bytes(reinterpret_cast<const char*>(floats.data()),
                                floats.size() * sizeof(float));
  Add(name, {TensorType::kF32, std::move(shape), bytes});
}

void TensorFileWriter::SetMetadata(absl::string_view key,
                                   absl::string_view value) {
  metadata_[std::string(key)] = std::string(value);
}

std::string TensorFileWriter::Finish() const {
  std::vector<const TensorFile::Tensors::value_type*> sorted;
  for (const auto& tensor : tensors_) sorted.push_back(&tensor);
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto* a, const auto* b) {
                     return a->second.type > b->second.type;
                   });
  TensorHeader header;
  header.metadata = metadata_;
  uint64_t end = 0;
  for (const auto* entry : sorted) {
    const auto& [name, tensor] = *entry;
    const uint64_t begin = end;
    end += tensor.bytes.size();
    header.tensors.push_back({name, tensor.type, tensor.shape, begin, end});
    const auto size = ByteSize(header.tensors.back());
    ABSL_ASSERT(size.ok() && *size == tensor.bytes.size());
  }

  std::string json = header.ToJson();
  json.append((8 - json.size() % 8) % 8, ' ');
  const uint64_t json_size = json.size();
  std::string bytes(reinterpret_cast<const char*>(&json_size),
                    sizeof(json_size));
  bytes.reserve(bytes.size() + json.size() + end);
  bytes += json;
  for (const auto* entry : sorted) {
    bytes.append(entry->second.bytes.data(), entry->second.bytes.size());
  }
  return bytes;
}

}  // namespace lmserve
