#ifndef LMSERVE_MODELS_NEURAL_NETWORK_WEIGHTS_H_
#define LMSERVE_MODELS_NEURAL_NETWORK_WEIGHTS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/neural/kernels.h"
#include "models/neural/output_layer.h"
#include "models/neural/recurrent_layer.h"
#include "models/neural/tensor_file.h"
#include "models/neural/weight_matrix.h"

namespace lmserve {

// The names of the tensors and metadata in weights.safetensors: PyTorch's
// state_dict of a model with an Embedding `encoder`, an RNN, GRU or LSTM `rnn`
// and a Linear `decoder`. See model_store/FORMAT.md.
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

// "rnn.weight_ih_l0_reverse" and its like; name is "weight_ih" and so on.
std::string LayerTensor(absl::string_view name, size_t layer, bool reverse);

// "sigmoid", "tanh", "relu".
absl::string_view ActivationName(Activation activation);
absl::StatusOr<Activation> ParseActivation(absl::string_view name);
// "rnn", "gru", "lstm".
absl::string_view CellName(Cell cell);
absl::StatusOr<Cell> ParseCell(absl::string_view name);

// The words of probability 0: <s> and, of a bidirectional network, </s>.
std::vector<WordId> NeverPredicted(const Vocabulary& vocabulary,
                                   bool bidirectional);

std::string FormatCutoffs(const Cutoffs& cutoffs);
// "" stands for none. Fails where they do not rise between 0 and the
// vocabulary's size, or make a class of `never` predicted words alone.
absl::StatusOr<Cutoffs> ParseCutoffs(absl::string_view text,
                                     const Vocabulary& vocabulary,
                                     absl::Span<const WordId> never);

// A matrix of the file in any precision, of the shape (rows, cols); 0 stands
// for any size above 0. INVALID_ARGUMENT, naming the tensor, where it is
// missing, has another shape, or a number in it is not finite.
absl::StatusOr<WeightMatrix> ReadMatrix(const TensorFile& file,
                                        absl::string_view name, size_t rows,
                                        size_t cols);

// The same for a vector of floats.
absl::StatusOr<std::vector<float>> ReadVector(const TensorFile& file,
                                              absl::string_view name,
                                              size_t size);

// The layers of `rnn`, as many as there are, whose names may have a prefix;
// `cell` follows from the shapes. A bidirectional network has two for each
// depth, forward first.
struct RecurrentWeights {
  Cell cell;
  Activation activation;
  bool bidirectional;
  std::vector<RecurrentLayer::Weights> layers;
  std::vector<std::vector<float>> biases;  // what the layers' spans view
};
// `inputs` of the first layer: 0 stands for any number, and for none.
absl::StatusOr<RecurrentWeights> ReadRecurrentWeights(
    const TensorFile& file, size_t inputs, absl::string_view prefix = "");

absl::StatusOr<std::vector<RecurrentLayer>> CreateLayers(
    const RecurrentWeights& weights);

// The weights of the output layer over some features: decoder.weight, or, where
// there is none, encoder.weight.
absl::StatusOr<WeightMatrix> ReadOutputWeights(const TensorFile& file,
                                               const Vocabulary& vocabulary,
                                               size_t features);

// The output layer of these weights, with its biases and, where the file has
// cutoffs, its classes. The words `never` get probability 0.
absl::StatusOr<OutputLayer> ReadOutputLayer(const TensorFile& file,
                                            const Vocabulary& vocabulary,
                                            const WeightMatrix& words,
                                            absl::Span<const WordId> never);

// What a recurrent model is made of: of weights.safetensors, whose bytes must
// outlive it. Of a bidirectional one every depth has two layers, forward first.
struct RecurrentParts {
  WeightMatrix embedding;
  std::vector<RecurrentLayer> layers;
  OutputLayer output;
};
absl::StatusOr<RecurrentParts> ReadRecurrentParts(absl::string_view bytes,
                                                  const Vocabulary& vocabulary,
                                                  bool bidirectional);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_NETWORK_WEIGHTS_H_
