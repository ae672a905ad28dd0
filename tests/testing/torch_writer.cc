// SPDX-License-Identifier: Apache-2.0
#include "tests/testing/torch_writer.h"

#include <zlib.h>

#include "absl/strings/str_cat.h"

namespace lmserve {
namespace {

template <typename Number>
void Put(Number number, std::string* bytes) {
  bytes->append(reinterpret_cast<const char*>(&number), sizeof(number));
}

uint32_t Crc(const std::string& bytes) {
  return static_cast<uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

// Appends the fields that the header of a file and its entry have in common.
void PutFile(const ZipFile& file, std::string* zip) {
  Put<uint16_t>(0, zip);  // flags
  Put<uint16_t>(0, zip);  // not compressed
  Put<uint32_t>(0, zip);  // time
  Put<uint32_t>(Crc(file.bytes), zip);
  Put<uint32_t>(file.bytes.size(), zip);
  Put<uint32_t>(file.bytes.size(), zip);
  Put<uint16_t>(file.name.size(), zip);
}

}  // namespace

std::string MakeZip(const std::vector<ZipFile>& files, bool zip64) {
  std::string zip, directory;
  for (const ZipFile& file : files) {
    const uint32_t at = zip.size();
    zip += "PK\x03\x04";
    Put<uint16_t>(20, &zip);
    PutFile(file, &zip);
    Put<uint16_t>(5, &zip);  // an extra field, with which PyTorch aligns
    zip += file.name + std::string("FB\x01\0Z", 5) + file.bytes;
    directory += "PK\x01\x02";
    Put<uint32_t>(20 << 16 | 20, &directory);
    PutFile(file, &directory);
    Put<uint16_t>(0, &directory);  // extra
    Put<uint16_t>(0, &directory);  // comment
    Put<uint16_t>(0, &directory);  // disk
    Put<uint16_t>(0, &directory);  // attributes
    Put<uint32_t>(0, &directory);
    Put<uint32_t>(at, &directory);
    directory += file.name;
  }
  const uint32_t at = zip.size();
  zip += directory;
  if (zip64) {
    const uint64_t record = zip.size();
    zip += "PK\x06\x06";
    Put<uint64_t>(44, &zip);
    Put<uint32_t>(20 << 16 | 20, &zip);
    Put<uint64_t>(0, &zip);  // disks
    Put<uint64_t>(files.size(), &zip);
    Put<uint64_t>(files.size(), &zip);
    Put<uint64_t>(directory.size(), &zip);
    Put<uint64_t>(at, &zip);
    zip += "PK\x06\x07";
    Put<uint32_t>(0, &zip);
    Put<uint64_t>(record, &zip);
    Put<uint32_t>(1, &zip);
  }
  zip += "PK\x05\x06";
  Put<uint32_t>(0, &zip);  // disks
  Put<uint16_t>(files.size(), &zip);
  Put<uint16_t>(files.size(), &zip);
  Put<uint32_t>(directory.size(), &zip);
  Put<uint32_t>(at, &zip);
  Put<uint16_t>(0, &zip);  // comment
  return zip;
}

PickleWriter& PickleWriter::Raw(absl::string_view bytes) {
  absl::StrAppend(&bytes_, bytes);
  return *this;
}

PickleWriter& PickleWriter::Global(absl::string_view module,
                                   absl::string_view name) {
  return Raw(absl::StrCat("c", module, "\n", name, "\n"));
}

PickleWriter& PickleWriter::String(absl::string_view text) {
  bytes_ += "X";
  Put<uint32_t>(text.size(), &bytes_);
  return Raw(text);
}

PickleWriter& PickleWriter::Integer(int32_t number) {
  bytes_ += "J";
  Put(number, &bytes_);
  return *this;
}

PickleWriter& PickleWriter::Integers(const std::vector<int64_t>& numbers) {
  bytes_ += "(";
  for (int64_t number : numbers) {
    bytes_ += "\x8a\x08";
    Put(number, &bytes_);
  }
  bytes_ += "t";
  return *this;
}

PickleWriter& PickleWriter::Tensor(absl::string_view storage_class,
                                   absl::string_view key, int64_t storage_size,
                                   int64_t offset,
                                   const std::vector<int64_t>& shape,
                                   const std::vector<int64_t>& strides) {
  Global("torch._utils", "_rebuild_tensor_v2").Raw("((").String("storage");
  Global("torch", storage_class).String(key).String("cpu");
  Raw("\x8a\x08");
  Put(storage_size, &bytes_);
  Raw("tQ\x8a\x08");
  Put(offset, &bytes_);
  Integers(shape).Integers(strides).Raw("\x89");
  return Global("collections", "OrderedDict").Raw(")RtR");
}

std::string StorageClass(TensorType type) {
  switch (type) {
    case TensorType::kF16:
      return "HalfStorage";
    case TensorType::kBf16:
      return "BFloat16Storage";
    case TensorType::kF64:
      return "DoubleStorage";
    case TensorType::kI64:
      return "LongStorage";
    default:
      return "FloatStorage";
  }
}

std::string MakeTorchFile(const TensorFile::Tensors& tensors,
                          absl::string_view key) {
  PickleWriter pickle;
  std::vector<ZipFile> files = {{"model/data.pkl", ""},
                                {"model/byteorder", "little"}};
  if (!key.empty()) pickle.Raw("}(").String("epoch").Integer(3).String(key);
  pickle.Global("collections", "OrderedDict").Raw(")Rq").Raw({"\0", 1});
  pickle.Raw("(");
  for (const auto& [name, tensor] : tensors) {
    std::vector<int64_t> strides(tensor.shape.size());
    int64_t stride = 1;
    for (size_t i = strides.size(); i-- > 0;) {
      strides[i] = stride;
      stride *= tensor.shape[i];
    }
    const std::string number = absl::StrCat(files.size() - 2);
    pickle.String(name).Tensor(StorageClass(tensor.type), number, stride, 0,
                               tensor.shape, strides);
    files.push_back({"model/data/" + number, std::string(tensor.bytes)});
  }
  // The versions of the modules are a field of the state_dict.
  pickle.Raw("u}").String("_metadata").Raw("}sb");
  if (!key.empty()) pickle.Raw("u");
  files[0].bytes = pickle.Finish();
  files.push_back({"model/version", "3\n"});
  return MakeZip(files);
}

}  // namespace lmserve
