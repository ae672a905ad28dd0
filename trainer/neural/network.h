// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NEURAL_NETWORK_H_
#define LMSERVE_TRAINER_NEURAL_NETWORK_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/sentence_encoder.h"
#include "trainer/neural/parameters.h"
#include "trainer/neural/random.h"
#include "trainer/neural/recurrent_stack.h"
#include "trainer/neural/softmax_loss.h"

namespace lmserve {

// The data of one training step.
struct Batch {
  size_t steps = 0;    // for a window network: the width of the window
  size_t streams = 0;  // texts, or windows, that are processed in parallel
  // (steps, streams): the words of a step are adjacent.
  std::vector<WordId> inputs;
  // The words or labels to predict: (steps, streams) or, for a window network
  // and a classifier, (streams). kNoTarget where nothing is predicted.
  std::vector<WordId> targets;
  // The source sentences of a translation network, (source steps, streams).
  std::vector<WordId> sources = {};
  // How the inputs of a tagger are spelled, (steps, streams): indices of
  // TaggerNetworkOptions::spellings.
  std::vector<WordId> spellings = {};
  // The auxiliary labels of the inputs of a tagger, (steps, streams); empty:
  // the loss is that of the targets only.
  std::vector<WordId> auxiliary = {};
};

// A network in training: computes the loss and the gradient of a batch. The
// caller owns the parameters. The object keeps intermediate values and the
// state of streams, so it is not thread-safe.
template <typename T>
class Network {
 public:
  virtual ~Network() = default;

  const ParameterLayout& layout() const { return layout_; }

  // Returns what a weights file records besides its tensors, such as
  // kNonlinearityKey.
  virtual std::map<std::string, std::string> Metadata() const = 0;

  // Sets the initial parameters, which depend only on the seed.
  virtual void Initialize(uint64_t seed, T* values) const = 0;

  // The gradients to compute, of E = scale * loss.
  struct Backward {
    T scale;
    T* gradients;  // array with the layout; dE/d(parameter) is added to it
    // Set to dE/d(state) if it is not null. Only for recurrent networks.
    typename RecurrentStack<T>::StateGradients* states = nullptr;
  };

  // Returns the loss: the sum of -ln P over the targets, in nats. Applies no
  // dropout if random is null, and computes no gradients if backward is null.
  virtual double Run(const T* values, const Batch& batch, Random* random,
                     const Backward* backward) = 0;

  // The parameter of which a batch uses only the rows of its inputs, if there
  // is one: a table of embeddings. Run() reads no other rows and adds no
  // gradient to them. Saves time in TrainNetwork().
  virtual std::optional<size_t> table() const { return std::nullopt; }

  // The number of targets of the last Run() to which the network gave a label
  // that was not the most probable one. Is set by a Run() without gradients,
  // and only of a network that labels; otherwise nullopt.
  virtual std::optional<size_t> errors() const { return std::nullopt; }

  // The state between the batches of continuous streams; Run() advances it. It
  // is empty if the network has no state. Setting an empty state resets it.
  virtual std::vector<T> state() const { return {}; }
  virtual void set_state(const std::vector<T>& state) { (void)state; }

 protected:
  ParameterLayout layout_;
};

struct RecurrentNetworkOptions {
  WordId vocabulary = 0;
  std::optional<WordId> never;  // a word of probability 0: <s>
  size_t embedding = 0;         // size of an embedding
  RecurrentStackOptions stack;  // stack.inputs is set to the embedding size
  bool tied = false;            // the output weights are the embeddings
  bool identity = false;        // W_hh of Cell::kRnn is initially the identity
  bool carry_state = false;     // keep the state from batch to batch
  double initial_range = 0.1;   // of the embeddings and the output weights
  Cutoffs cutoffs;
};

// Makes a network of word embeddings, recurrent layers and a softmax. It has
// two directions if stack.bidirectional is set.
template <typename T>
std::unique_ptr<Network<T>> MakeRecurrentNetwork(
    const RecurrentNetworkOptions& options);

// Options of an RNN encoder-decoder (Cho et al. 2014, Sutskever et al. 2014)
// and its extensions.
struct TranslationNetworkOptions {
  WordId source_vocabulary = 0;
  WordId vocabulary = 0;        // of the translations
  std::optional<WordId> never;  // a word of probability 0: <s>
  size_t embedding = 0;         // size of an embedding, for both languages
  Cell cell = Cell::kLstm;
  Activation activation = Activation::kTanh;  // used by Cell::kRnn
  size_t units = 0;                           // per layer and direction
  size_t layers = 1;  // of the encoder, and of the decoder
  // The decoder uses the recurrent weights of the encoder. REQUIRES: the
  // encoder has one direction, and the decoder does not read the context.
  bool shared = false;
  bool reads_word = true;      // the decoder reads the previous word
  bool reads_context = false;  // each step also reads the encoder's last state
  bool bidirectional = false;  // the encoder has two directions
  bool attention = false;  // the decoder attends to all states of the encoder
  // The weights file records that the source is read from the last word to the
  // first. The network itself reads Batch::sources as they are.
  bool reverse_source = false;
  // The output weights are the embeddings of the decoder. REQUIRES: reads_word
  bool tied = false;
  double dropout = 0;
  ProductPrecision products = ProductPrecision::kFloat;  // but of attention
  double initial_range = 0.1;  // of the embeddings and the output weights
  Cutoffs cutoffs;
};

// Makes the network. In a batch, all sources have the same length; the inputs
// are the words before the targets.
template <typename T>
std::unique_ptr<Network<T>> MakeTranslationNetwork(
    const TranslationNetworkOptions& options);

struct TaggerNetworkOptions {
  WordId vocabulary = 0;
  size_t labels = 0;
  size_t embedding = 0;         // size of a word embedding
  RecurrentStackOptions stack;  // stack.inputs is set
  // The reader of characters: see models/neural/character_reader.h. 0 units:
  // the network has none.
  size_t character_embedding = 0;
  size_t character_units = 0;  // per layer and direction
  size_t character_layers = 1;
  // The characters of words, by the index in Batch::spellings.
  std::shared_ptr<const std::vector<std::vector<WordId>>> spellings = {};
  bool crf = false;  // whether the labels depend on each other
  bool bio = false;  // the weights file records BIO constraints
  // The number of auxiliary labels; 0: there are none. A softmax that reads the
  // first layer predicts those of a batch, and auxiliary_weight * -ln P is
  // added to the loss (Soegaard and Goldberg 2016). Only the training has this
  // output.
  size_t auxiliary_labels = 0;
  double auxiliary_weight = 1;
  double initial_range = 0.1;  // of the word embeddings
};

// Makes the network of models/neural/recurrent_tagger.h. The BIO constraints do
// not change the loss, whose labels follow them.
template <typename T>
std::unique_ptr<Network<T>> MakeTaggerNetwork(
    const TaggerNetworkOptions& options);

struct ClassifierNetworkOptions {
  WordId vocabulary = 0;
  size_t labels = 0;
  size_t embedding = 0;         // size of a word embedding
  RecurrentStackOptions stack;  // stack.inputs is set
  Pooling pooling = Pooling::kMax;
  double initial_range = 0.1;  // of the word embeddings
};

// Makes the network of models/neural/recurrent_classifier.h.
template <typename T>
std::unique_ptr<Network<T>> MakeClassifierNetwork(
    const ClassifierNetworkOptions& options);

struct WindowNetworkOptions {
  WordId vocabulary = 0;
  std::optional<WordId> never;
  size_t embedding = 0;
  size_t window = 4;    // number of context words
  size_t hidden = 0;    // number of hidden units
  bool direct = false;  // whether embeddings are connected to the output (W3)
  double dropout = 0;   // of the embeddings and of the hidden layer
  ProductPrecision products = ProductPrecision::kFloat;  // of the output layer
  Cutoffs cutoffs;
};

// Makes the network of Bengio et al. 2003:
//   y = softmax(W2 tanh(W1 x + b1) + W3 x + b3)
// where x are the embeddings of the words of the window, the most distant
// first.
template <typename T>
std::unique_ptr<Network<T>> MakeWindowNetwork(
    const WindowNetworkOptions& options);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_NETWORK_H_
