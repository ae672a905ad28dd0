// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NEURAL_IMPORT_TORCH_H_
#define LMSERVE_TRAINER_NEURAL_IMPORT_TORCH_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/neural/kernels.h"
#include "models/vocabulary.h"

namespace lmserve {

struct TorchOptions {
  std::string unknown = "<unk>";              // the vocabulary's name for <unk>
  std::string end = "<eos>";                  // its name for </s>
  Activation activation = Activation::kTanh;  // for torch.nn.RNN
  // Names of tensors to leave out, because they do not change what the module
  // computes.
  std::vector<std::string> ignored;
};

// An imported PyTorch model.
struct TorchModel {
  std::string family;
  Vocabulary vocabulary;
  std::string weights;  // bytes of weights.safetensors
  std::vector<std::string> warnings = {};
};

// Imports the state_dict of a PyTorch module, saved as safetensors, and its
// vocabulary: the words in the order of their ids. The module must have an
// Embedding `encoder`, an RNN, GRU or LSTM `rnn`, and a Linear `decoder`.
// Tensors keep their names and numbers. These may be missing:
// - encoder.weight or decoder.weight, if the two are tied; and any tensor for
//   which the metadata names another one, as safetensors' save_model() writes
//   it for tensors that share memory;
// - decoder.bias, and all biases of rnn (bias=False), which are 0;
// - the word <s>, which gets the embedding of </s>, because such a model starts
//   a text as if it followed another one. A module that has the word <s> gives
//   it a probability, which the imported model gives to the other words: a
//   warning.
// Fails with INVALID_ARGUMENT, naming the tensor or the line, for anything
// else, above all for a tensor that the network would not use: without it the
// result would be another model. Errors begin with the name of the file, of the
// tensors or of the vocabulary.
absl::StatusOr<TorchModel> ImportTorch(
    absl::string_view safetensors, std::vector<std::string> vocabulary,
    const TorchOptions& options, absl::string_view file = "safetensors",
    absl::string_view vocabulary_file = "vocabulary");

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_IMPORT_TORCH_H_
