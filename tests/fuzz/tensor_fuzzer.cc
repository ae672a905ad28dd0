// SPDX-License-Identifier: Apache-2.0
//
// Fuzzes the reader of safetensors. The tensors of an accepted file must lie
// within its bytes, without gaps, and must be the same after writing and
// reading them again.

#include <algorithm>
#include <cstring>
#include <iterator>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "models/neural/tensor_file.h"
#include "models/neural/tensor_header.h"
#include "tests/fuzz/require.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace lmserve {
namespace {

void CheckTensor(const TensorFile& file, const std::string& name,
                 const TensorView& tensor) {
  uint64_t size = 1;
  for (int64_t dimension : tensor.shape) {
    Require(dimension >= 0, "no dimension is negative");
    size *= dimension;
  }
  Require(size == tensor.size() &&
              size * TensorTypeSize(tensor.type) == tensor.bytes.size(),
          "the size of a tensor fits its shape");
  Require(file.Find(name) == &tensor, "a tensor is found by its name");
  RequireOk(file.Get(name, tensor.type, tensor.shape).status(),
            "a tensor is found by its type and shape");
  const auto floats = file.GetFloats(name, tensor.shape);
  Require(floats.ok() == IsFloatType(tensor.type),
          "only float tensors are converted");
  Require(!floats.ok() || floats->size() == size, "every number is converted");
}

// Requires that the tensors follow each other and end at the end of the bytes.
void CheckFile(const TensorFile& file, absl::string_view bytes) {
  std::vector<absl::string_view> views;
  for (const auto& [name, tensor] : file.tensors()) {
    CheckTensor(file, name, tensor);
    if (!tensor.bytes.empty()) views.push_back(tensor.bytes);
  }
  std::sort(views.begin(), views.end(),
            [](auto a, auto b) { return a.data() > b.data(); });
  const char* begin = bytes.data() + bytes.size();
  for (const absl::string_view view : views) {
    Require(view.data() + view.size() == begin,
            "there are no gaps between tensors");
    begin = view.data();
  }
  Require(begin >= bytes.data() + sizeof(uint64_t),
          "the header is before the tensors");
}

std::string Write(const TensorFile& file) {
  TensorFileWriter writer;
  for (const auto& [name, tensor] : file.tensors()) writer.Add(name, tensor);
  for (const auto& [key, value] : file.metadata()) {
    writer.SetMetadata(key, value);
  }
  return writer.Finish();
}

void ReadAndWrite(absl::string_view input) {
  // A copy that is not aligned and has the exact size, so that the sanitizer
  // detects reads past its end.
  std::vector<char> copy(input.size() + 1);
  std::copy(input.begin(), input.end(), copy.begin() + 1);
  const absl::string_view bytes(copy.data() + 1, input.size());
  const auto file = TensorFile::Parse(bytes);
  if (!file.ok()) {
    Require(absl::IsInvalidArgument(file.status()) &&
                file.status().message().size() < 2000,
            "error messages are short");
    return;
  }
  CheckFile(*file, bytes);

  const std::string written = Write(*file);
  const auto again = TensorFile::Parse(written);
  RequireOk(again.status(), "a file that was written can be read");
  Require(again->metadata() == file->metadata() &&
              again->tensors().size() == file->tensors().size(),
          "a file is unchanged");
  const size_t misaligned = reinterpret_cast<uintptr_t>(written.data()) % 8;
  for (const auto& [name, tensor] : file->tensors()) {
    const auto same = again->Get(name, tensor.type, tensor.shape);
    Require(same.ok() && same->bytes == tensor.bytes, "a tensor is unchanged");
    Require(misaligned || same->is_aligned(),
            "tensors that were written are aligned");
  }
  Require(Write(*again) == written, "the same tensors make the same file");
}

// The parts of a file. The header ends at the latest where the bytes end.
struct Parts {
  std::string header;
  std::string data;
};

Parts Split(absl::string_view bytes) {
  uint64_t size;
  std::memcpy(&size, bytes.data(), sizeof(size));
  bytes.remove_prefix(sizeof(size));
  const absl::string_view header = bytes.substr(0, size);
  return {std::string(header), std::string(bytes.substr(header.size()))};
}

std::string Join(const Parts& parts) {
  const uint64_t size = parts.header.size();
  return absl::StrCat(
      absl::string_view(reinterpret_cast<const char*>(&size), sizeof(size)),
      parts.header, parts.data);
}

void MutateText(std::string* text, size_t max_size) {
  const size_t size = text->size();
  text->resize(std::max(size, max_size));
  text->resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(text->data()), size,
                                text->size()));
}

void MutateShape(std::minstd_rand& random, std::vector<int64_t>* shape) {
  static constexpr int64_t kDimensions[] = {
      0,
      1,
      1,
      2,
      3,
      5,
      8,
      1 << 16,
      int64_t{1} << 32,
      int64_t{1} << 61,
      std::numeric_limits<int64_t>::max()};
  const int64_t dimension = kDimensions[random() % std::size(kDimensions)];
  if (shape->empty() || random() % 3 == 0) {
    shape->push_back(dimension);
  } else if (random() % 3 == 0) {
    shape->pop_back();
  } else {
    (*shape)[random() % shape->size()] = dimension;
  }
}

// Duplicates, removes, moves or changes a tensor.
void MutateTensors(std::minstd_rand& random,
                   std::vector<TensorHeader::Tensor>* tensors) {
  if (tensors->empty()) return;
  TensorHeader::Tensor& tensor = (*tensors)[random() % tensors->size()];
  switch (random() % 8) {
    case 0: {
      TensorHeader::Tensor twin = tensor;
      absl::StrAppend(&twin.name, random() % 10);
      return tensors->push_back(twin);
    }
    case 1:
      std::swap(tensor, tensors->back());
      return tensors->pop_back();
    case 2:
      return std::swap(tensor, tensors->front());
    case 3:
      tensor.begin += random() % 17 - 8;
      return;
    case 4:
      tensor.end += random() % 17 - 8;
      return;
    case 5:
      tensor.type = static_cast<TensorType>(random() % 13);
      return;
    default:
      return MutateShape(random, &tensor.shape);
  }
}

// Assigns consecutive offsets to the tensors and creates their data, except for
// tensors that are too large.
void Repair(TensorHeader* header, std::string* data) {
  uint64_t end = 0;
  for (TensorHeader::Tensor& tensor : header->tensors) {
    uint64_t size = TensorTypeSize(tensor.type);
    for (int64_t dimension : tensor.shape) {
      size = std::min<uint64_t>(size * std::min<uint64_t>(dimension, 1 << 10),
                                1 << 10);
    }
    tensor.begin = end;
    end = tensor.end = end + size;
  }
  data->resize(end, '\x3f');
}

std::string Mutate(std::minstd_rand& random, absl::string_view input,
                   size_t max_size) {
  Parts parts = Split(input);
  auto header = TensorHeader::Parse(parts.header);
  if (header.ok() && random() % 2 == 0) {
    MutateTensors(random, &header->tensors);
    if (random() % 4 != 0) Repair(&*header, &parts.data);
    parts.header = header->ToJson();
  } else {
    MutateText(&parts.header,
               max_size - std::min(max_size, parts.data.size() + 8));
  }
  return Join(parts);
}

}  // namespace
}  // namespace lmserve

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lmserve::ReadAndWrite({reinterpret_cast<const char*>(data), size});
  return 0;
}

// Mutates tensors of the header or its bytes and corrects its size; in one of
// four cases mutates only bytes.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size,
                                          size_t max_size, unsigned int seed) {
  std::minstd_rand random(seed);
  random.discard(3);
  if (size < sizeof(uint64_t) || random() % 4 == 0) {
    return LLVMFuzzerMutate(data, size, max_size);
  }
  const std::string input = lmserve::Mutate(
      random, {reinterpret_cast<const char*>(data), size}, max_size);
  if (input.size() > max_size) return size;
  std::copy(input.begin(), input.end(), data);
  return input.size();
}
