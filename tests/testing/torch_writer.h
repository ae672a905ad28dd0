// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_TESTING_TORCH_WRITER_H_
#define LMSERVE_TESTS_TESTING_TORCH_WRITER_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "models/neural/tensor_file.h"

namespace lmserve {

// Writes files as torch.save() does, for tests of their readers.

// A file in an archive.
struct ZipFile {
  std::string name;
  std::string bytes;
};

// Returns a zip archive of files that are not compressed; with the records of
// zip64, as PyTorch writes them, or without.
std::string MakeZip(const std::vector<ZipFile>& files, bool zip64 = true);

// Writes the instructions of a pickle.
class PickleWriter {
 public:
  PickleWriter() { bytes_ = "\x80\x02"; }

  PickleWriter& Raw(absl::string_view bytes);
  PickleWriter& Global(absl::string_view module, absl::string_view name);
  PickleWriter& String(absl::string_view text);
  PickleWriter& Integer(int32_t number);
  // A tuple of integers.
  PickleWriter& Integers(const std::vector<int64_t>& numbers);
  // A tensor that views numbers of the file data/KEY.
  PickleWriter& Tensor(absl::string_view storage_class, absl::string_view key,
                       int64_t storage_size, int64_t offset,
                       const std::vector<int64_t>& shape,
                       const std::vector<int64_t>& strides);

  // Returns the pickle with the instruction that ends it.
  std::string Finish() const { return bytes_ + "."; }

 private:
  std::string bytes_;
};

// The class of a storage of this type, such as "FloatStorage".
std::string StorageClass(TensorType type);

// Returns a file of torch.save() with a state_dict of these tensors. If `key`
// is not empty, the state_dict is in a dictionary under this key, beside the
// number of an epoch.
std::string MakeTorchFile(const TensorFile::Tensors& tensors,
                          absl::string_view key = "");

}  // namespace lmserve

#endif  // LMSERVE_TESTS_TESTING_TORCH_WRITER_H_
