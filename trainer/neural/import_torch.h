#ifndef LMSERVE_TRAINER_NEURAL_IMPORT_TORCH_H_
#define LMSERVE_TRAINER_NEURAL_IMPORT_TORCH_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/neural/kernels.h"
#include "models/vocabulary.h"

namespace lmserve {

struct TorchOptions {
  std::string unknown = "<unk>";              // what the vocabulary calls <unk>
  std::string end = "<eos>";                  // what it calls </s>, if not that
  Activation activation = Activation::kTanh;  // of torch.nn.RNN
};

// A model of PyTorch's as this project serves it.
struct TorchModel {
  std::string family;
  Vocabulary vocabulary;
  std::string weights;  // weights.safetensors
};

// Reads the state_dict of a model of an Embedding `encoder`, an RNN, GRU or
// LSTM `rnn` and a Linear `decoder`, saved as safetensors, and its vocabulary:
// a word a line, in the order of the ids. Tensors keep their names and numbers;
// what is added is a word <s> where the vocabulary has none, with the embedding
// of </s>, for such a model starts a text as it goes on after one, and a
// decoder.bias of 0 where there is none. Tensors of other names are left out.
// Fails with INVALID_ARGUMENT, naming the tensor or the line.
absl::StatusOr<TorchModel> ImportTorch(absl::string_view safetensors,
                                       absl::string_view vocabulary,
                                       const TorchOptions& options);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_IMPORT_TORCH_H_
