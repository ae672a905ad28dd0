// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NEURAL_NETWORK_WEIGHTS_H_
#define LMSERVE_MODELS_NEURAL_NETWORK_WEIGHTS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/neural/kernels.h"
#include "models/neural/linear.h"
#include "models/neural/output_layer.h"
#include "models/neural/recurrent_layer.h"
#include "models/neural/tensor_file.h"
#include "models/neural/weight_matrix.h"

namespace lmserve {

// Reads the weights of networks from weights.safetensors. All functions are
// thread-safe. Functions that read a file return INVALID_ARGUMENT, naming the
// tensor, if the file does not have the expected contents.
//
// The names of the tensors and metadata are those of PyTorch's state_dict for a
// model with an Embedding `encoder`, an RNN, GRU or LSTM `rnn`, and a Linear
// `decoder`. See model_store/FORMAT.md.
inline constexpr absl::string_view kEmbeddingTensor = "encoder.weight";
inline constexpr absl::string_view kOutputTensor = "decoder.weight";
inline constexpr absl::string_view kOutputBiasTensor = "decoder.bias";
inline constexpr absl::string_view kClassTensor = "classes.weight";
inline constexpr absl::string_view kClassBiasTensor = "classes.bias";
inline constexpr absl::string_view kHiddenTensor = "hidden.weight";
inline constexpr absl::string_view kHiddenBiasTensor = "hidden.bias";
inline constexpr absl::string_view kDirectTensor = "direct.weight";
inline constexpr absl::string_view kScaleSuffix = ".scale";
inline constexpr absl::string_view kNonlinearityKey = "nonlinearity";
inline constexpr absl::string_view kCutoffsKey = "cutoffs";

// Returns the name of a tensor of a recurrent layer, such as
// "rnn.weight_ih_l0_reverse". `name` is "weight_ih", "weight_hh", "bias_ih" or
// "bias_hh".
std::string LayerTensor(absl::string_view name, size_t layer, bool reverse);

// Conversion between activations and the names "sigmoid", "tanh", "relu".
absl::string_view ActivationName(Activation activation);
absl::StatusOr<Activation> ParseActivation(absl::string_view name);
// Conversion between cells and the names "rnn", "gru", "lstm".
absl::string_view CellName(Cell cell);
absl::StatusOr<Cell> ParseCell(absl::string_view name);

// Returns the words that a network never predicts: <s> and, for a bidirectional
// network, </s>.
std::vector<WordId> NeverPredicted(const Vocabulary& vocabulary,
                                   bool bidirectional);

// Formats cutoffs as a comma-separated list, as in the metadata of a file.
std::string FormatCutoffs(const Cutoffs& cutoffs);
// Parses such a list; an empty text means no cutoffs. Returns INVALID_ARGUMENT
// unless the numbers are ascending, greater than 0 and less than the vocabulary
// size, and each class has a word that is not in `never`.
absl::StatusOr<Cutoffs> ParseCutoffs(absl::string_view text,
                                     const Vocabulary& vocabulary,
                                     absl::Span<const WordId> never);

// Reads a matrix of any precision and of the shape (rows, cols), where 0 means
// any size above 0. The matrix is a view of the file. Fails if the tensor is
// missing, has another shape, or has a number that is not finite.
absl::StatusOr<WeightMatrix> ReadMatrix(const TensorFile& file,
                                        absl::string_view name, size_t rows,
                                        size_t cols);

// Reads a vector of `size` floats. Fails as ReadMatrix() does.
absl::StatusOr<std::vector<float>> ReadVector(const TensorFile& file,
                                              absl::string_view name,
                                              size_t size);

// Reads a linear layer: the matrix `weight` (outputs, inputs) and the vector
// `bias` (outputs).
absl::StatusOr<std::unique_ptr<const Linear>> ReadLinear(
    const TensorFile& file, absl::string_view weight, absl::string_view bias,
    size_t outputs, size_t inputs);

// The weights of all recurrent layers in a file. A bidirectional network has
// two layers at each depth, the forward layer first.
struct RecurrentWeights {
  Cell cell;
  Activation activation;
  bool bidirectional;
  std::vector<RecurrentLayer::Weights> layers;
  // The memory that bias_ih and bias_hh of the layers view.
  std::vector<std::vector<float>> biases;
};
// Reads all layers, whose tensor names start with `prefix`. The shapes of the
// tensors determine the cell. `inputs` is the number of inputs of the first
// layer, where 0 means any number, or that the layer has no weight_ih.
absl::StatusOr<RecurrentWeights> ReadRecurrentWeights(
    const TensorFile& file, size_t inputs, absl::string_view prefix = "");

absl::StatusOr<std::vector<RecurrentLayer>> CreateLayers(
    const RecurrentWeights& weights);

// Reads the weights (V, features) of the output layer: decoder.weight or, if
// the file does not have it, the tied encoder.weight. V is the vocabulary size.
absl::StatusOr<WeightMatrix> ReadOutputWeights(const TensorFile& file,
                                               const Vocabulary& vocabulary,
                                               size_t features);

// Creates the output layer from the weights `words`, and reads its biases and,
// if the file has cutoffs, its classes. The words in `never` get probability 0.
absl::StatusOr<OutputLayer> ReadOutputLayer(const TensorFile& file,
                                            const Vocabulary& vocabulary,
                                            const WeightMatrix& words,
                                            absl::Span<const WordId> never);

// The parts of a recurrent model, which own their numbers. The embedding has
// the shape (V, embedding size). A bidirectional model has two layers at each
// depth, the forward layer first.
struct RecurrentParts {
  OwnedMatrix embedding;
  std::vector<RecurrentLayer> layers;
  OutputLayer output;
};
absl::StatusOr<RecurrentParts> ReadRecurrentParts(absl::string_view bytes,
                                                  const Vocabulary& vocabulary,
                                                  bool bidirectional);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_NETWORK_WEIGHTS_H_
