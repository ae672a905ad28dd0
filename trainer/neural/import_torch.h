// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NEURAL_IMPORT_TORCH_H_
#define LMSERVE_TRAINER_NEURAL_IMPORT_TORCH_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/neural/kernels.h"
#include "models/vocabulary.h"
#include "trainer/neural/tensor_names.h"

namespace lmserve {

struct TorchOptions {
  std::string unknown = "<unk>";  // the vocabulary's name for <unk>
  std::string end = "<eos>";      // its name for </s>
  // The word that the module reads before a text: its embedding is that of <s>.
  // Empty: <s> or, if the vocabulary does not have it, </s>.
  std::string start = {};
  Activation activation = Activation::kTanh;  // for torch.nn.RNN
  // Names of tensors to leave out, because they do not change what the module
  // computes.
  std::vector<std::string> ignored = {};
  // How the tensors are called; null: as in the preset word_language_model.
  const TensorNames* names = nullptr;
  // The keys under which a file of torch.save() has the state_dict.
  std::vector<std::string> state_dict = {};
};

// An imported PyTorch model.
struct TorchModel {
  std::string family;
  Vocabulary vocabulary;
  std::string weights;  // bytes of weights.safetensors
  std::vector<std::string> warnings = {};
};

// Imports the state_dict of a PyTorch module, the contents of a safetensors
// file or of one of torch.save(), and its vocabulary: the words in the order of
// their ids. The module must have an Embedding, layers of RNN, GRU or LSTM
// cells, whose widths may differ, and a Linear layer. Tensors of any
// floating-point type become floats. These may be missing:
// - encoder.weight or decoder.weight, if the two are tied; and any tensor for
//   which the metadata of a safetensors file names another one, as save_model()
//   writes it for tensors that share memory;
// - decoder.bias, and both biases of a layer (bias=False), which are 0;
// - the word <s>, which gets the embedding of TorchOptions::start, because such
//   a model starts a text as if it followed another one. A module that has the
//   word <s> gives it a probability, which the imported model gives to the
//   other words: a warning, unless its bias is so low (-1e6) that it is 0.
// An LSTM with projections (proj_size), whose output is h = W_hr m with m = o
// tanh(c), becomes the same function without: every matrix W that reads h
// becomes W W_hr, and reads m.
//
// Fails with INVALID_ARGUMENT, naming the tensor or the line, for anything
// else, above all for a tensor that the network would not use: without it the
// result would be another model. Errors begin with the name of the file, of the
// tensors or of the vocabulary.
absl::StatusOr<TorchModel> ImportTorch(
    absl::string_view bytes, std::vector<std::string> vocabulary,
    const TorchOptions& options, absl::string_view file = "file",
    absl::string_view vocabulary_file = "vocabulary");

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_IMPORT_TORCH_H_
