// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NEURAL_TORCH_FILE_H_
#define LMSERVE_TRAINER_NEURAL_TORCH_FILE_H_

#include <deque>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/neural/tensor_file.h"
#include "trainer/neural/torch_pickle.h"
#include "trainer/neural/zip_archive.h"

namespace lmserve {

// Tensors by name, of a file or copied.
struct TorchTensors {
  TensorFile::Tensors tensors;
  std::deque<std::string> copies;  // that some of the tensors view
};

// A file of torch.save() of PyTorch 1.6 or later: a zip archive with a pickle
// and the numbers of the tensors. It is read as data; nothing in it is executed
// (see torch_pickle.h). The bytes are not trusted and must outlive the object
// and its tensors.
class TorchFile {
 public:
  // Checks the archive and the pickle. Returns INVALID_ARGUMENT if they are
  // damaged or contain anything but dictionaries, lists, tuples, tensors,
  // numbers and strings.
  static absl::StatusOr<TorchFile> Parse(absl::string_view bytes);

  // Returns the tensors of the state_dict that the file is or, if `keys` is not
  // empty, that is in the dictionaries of the file under these keys, one in the
  // other. Returns INVALID_ARGUMENT, naming the key, if it has anything but
  // tensors, and if a tensor is not within its numbers.
  absl::StatusOr<TorchTensors> StateDict(
      const std::vector<std::string>& keys) const;

  // Returns the words of a vocabulary in the order of their ids: the file is a
  // list of strings, a dictionary from strings to ids, or a Vocab of torchtext
  // 0.9 or earlier. Fails with INVALID_ARGUMENT.
  absl::StatusOr<std::vector<std::string>> Words() const;

 private:
  TorchFile(ZipArchive archive, TorchPickle pickle, std::string folder)
      : archive_(std::move(archive)),
        pickle_(std::move(pickle)),
        folder_(std::move(folder)) {}

  const TorchPickle::Value* Find(const TorchPickle::Value& dictionary,
                                 absl::string_view key) const;
  // Returns the keys of a dictionary, for an error message.
  std::string KeysOf(const TorchPickle::Value& dictionary) const;
  absl::Status AddTensor(absl::string_view name,
                         const TorchPickle::Tensor& tensor,
                         TorchTensors* tensors) const;

  ZipArchive archive_;
  TorchPickle pickle_;
  std::string folder_;  // in the archive, with a slash at the end
};

// Returns the words of a dictionary from words to ids, which must be 0, 1, ...
// Fails with INVALID_ARGUMENT.
absl::StatusOr<std::vector<std::string>> OrderWords(
    const std::vector<std::pair<std::string, int64_t>>& ids);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_TORCH_FILE_H_
