// SPDX-License-Identifier: Apache-2.0
//
// Fuzzes the readers of what PyTorch users have: files of torch.save(), the
// pickles in them, rules for names of tensors, and vocabularies. An input must
// be refused with an error or give tensors that lie within their numbers. The
// first byte says what the rest is.

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/fuzz/require.h"
#include "tests/testing/torch_writer.h"
#include "trainer/neural/import_torch.h"
#include "trainer/neural/tensor_names.h"
#include "trainer/neural/torch_file.h"
#include "trainer/neural/torch_vocabulary.h"

namespace lmserve {
namespace {

// A copy of the exact size, so that the sanitizer detects reads past its end.
std::vector<char> CopyOf(absl::string_view bytes) {
  return {bytes.begin(), bytes.end()};
}

void CheckTensors(const TorchTensors& read) {
  for (const auto& [name, tensor] : read.tensors) {
    uint64_t size = TensorTypeSize(tensor.type);
    for (int64_t dimension : tensor.shape) {
      Require(dimension >= 0, "no dimension is negative");
      size *= dimension;
    }
    Require(size == tensor.bytes.size(), "the size of a tensor fits its shape");
    if (!IsFloatType(tensor.type)) continue;
    std::vector<float> floats(tensor.size());
    CopyFloats(tensor, absl::MakeSpan(floats));
  }
}

void ReadFile(absl::string_view input) {
  const std::vector<char> copy = CopyOf(input);
  const absl::string_view bytes(copy.data(), copy.size());
  const auto file = TorchFile::Parse(bytes);
  if (!file.ok()) {
    Require(absl::IsInvalidArgument(file.status()) &&
                file.status().message().size() < 2000,
            "error messages are short");
    return;
  }
  for (const std::vector<std::string>& keys :
       {std::vector<std::string>(), {"model"}, {"a", "b"}}) {
    const auto read = file->StateDict(keys);
    if (read.ok()) CheckTensors(*read);
  }
  (void)file->Words();
  (void)ImportTorch(bytes, {"<unk>", "<s>", "</s>", "a"}, {});
}

// Reads a pickle in an archive that is right.
void ReadPickle(absl::string_view pickle) {
  std::vector<ZipFile> files = {{"m/data.pkl", std::string(pickle)}};
  for (int i = 0; i < 4; ++i) {
    files.push_back({absl::StrCat("m/data/", i), std::string(24 * i, '\x3f')});
  }
  ReadFile(MakeZip(files));
}

void ReadNames(absl::string_view text) {
  const auto names = TensorNames::Parse(text);
  if (!names.ok()) return;
  TensorFile::Tensors tensors;
  for (const char* name : {"encoder.weight", "rnn.weight_hh_l0", "a.1.b"}) {
    tensors[name] = {TensorType::kU8, {0}, ""};
  }
  (void)names->Rename(tensors);
}

void ReadVocabulary(absl::string_view bytes) {
  const std::vector<char> copy = CopyOf(bytes);
  for (auto form : {TorchVocabularyForm::kAny, TorchVocabularyForm::kJson,
                    TorchVocabularyForm::kFairseq}) {
    (void)ParseTorchVocabulary({copy.data(), copy.size()}, form);
  }
}

void Read(absl::string_view input) {
  if (input.empty()) return;
  const absl::string_view rest = input.substr(1);
  switch (static_cast<uint8_t>(input[0]) % 4) {
    case 0:
      return ReadFile(rest);
    case 1:
      return ReadPickle(rest);
    case 2:
      return ReadNames(rest);
    default:
      return ReadVocabulary(rest);
  }
}

}  // namespace
}  // namespace lmserve

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lmserve::Read({reinterpret_cast<const char*>(data), size});
  return 0;
}
