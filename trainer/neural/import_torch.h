// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NEURAL_IMPORT_TORCH_H_
#define LMSERVE_TRAINER_NEURAL_IMPORT_TORCH_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/neural/kernels.h"
#include "models/vocabulary.h"

namespace lmserve {

struct TorchOptions {
  std::string unknown = "<unk>";              // the vocabulary's name for <unk>
  std::string end = "<eos>";                  // its name for </s>
  Activation activation = Activation::kTanh;  // for torch.nn.RNN
};

// An imported PyTorch model.
struct TorchModel {
  std::string family;
  Vocabulary vocabulary;
  std::string weights;  // bytes of weights.safetensors
};

// Imports the state_dict of a PyTorch module, saved as safetensors, and its
// vocabulary: one word per line, in the order of the ids. The module must have
// an Embedding `encoder`, an RNN, GRU or LSTM `rnn`, and a Linear `decoder`.
// Tensors keep their names and numbers; tensors of other names are ignored. Two
// things are added if they are missing: a decoder.bias of 0, and a word <s>
// with the embedding of </s>, because such a model starts a text as if it
// followed another one. Fails with INVALID_ARGUMENT; the message names the
// tensor or the line.
absl::StatusOr<TorchModel> ImportTorch(absl::string_view safetensors,
                                       absl::string_view vocabulary,
                                       const TorchOptions& options);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_IMPORT_TORCH_H_
