#ifndef LMSERVE_TRAINER_NEURAL_NETWORK_H_
#define LMSERVE_TRAINER_NEURAL_NETWORK_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "trainer/neural/parameters.h"
#include "trainer/neural/random.h"
#include "trainer/neural/recurrent_stack.h"
#include "trainer/neural/softmax_loss.h"

namespace lmserve {

// What a network learns from in one step.
struct Batch {
  size_t steps = 0;    // of a recurrent network; of a window, its width
  size_t streams = 0;  // texts, or windows, beside each other
  // (steps, streams), so that a step's words are neighbours.
  std::vector<WordId> inputs;
  // (steps, streams) of a recurrent network, (streams) of a window; kNoTarget
  // where nothing is to be predicted.
  std::vector<WordId> targets;
  // What is translated, (source steps, streams); else empty.
  std::vector<WordId> sources = {};
};

// A network in training: what its parameters are, and the loss and gradient of
// a batch. Holds what it computes a batch in, so one thread at a time has one;
// the parameters are the caller's.
template <typename T>
class Network {
 public:
  virtual ~Network() = default;

  const ParameterLayout& layout() const { return layout_; }

  // Returns what a weights file records besides its tensors, such as
  // kNonlinearityKey.
  virtual std::map<std::string, std::string> Metadata() const = 0;

  // Writes where training starts from.
  virtual void Initialize(uint64_t seed, T* values) const = 0;

  // The way back, where it is wanted.
  struct Backward {
    T scale;       // of the summed loss, in what is derived
    T* gradients;  // dE/d(parameter) is added; of the layout
  };

  // The sum of -ln P over the targets, in nats. Drops nothing where random is
  // null; no gradients where backward is.
  virtual double Run(const T* values, const Batch& batch, Random* random,
                     const Backward* backward) = 0;

  // The state between the stretches of continuous streams, as numbers; Run()
  // moves it. Empty: the network has none. Set an empty one to begin anew.
  virtual std::vector<T> state() const { return {}; }
  virtual void set_state(const std::vector<T>& state) { (void)state; }

 protected:
  ParameterLayout layout_;
};

struct RecurrentNetworkOptions {
  WordId vocabulary = 0;
  std::optional<WordId> never;  // of probability 0: <s>
  size_t embedding = 0;
  RecurrentStackOptions stack;  // its inputs follow from the embedding
  bool tied = false;            // the output weights are the embedding
  bool identity = false;        // W_hh of Cell::kRnn starts at the identity
  bool carry_state = false;     // from batch to batch
  double initial_range = 0.1;   // of embedding and output weights
  Cutoffs cutoffs;
};

// Makes a network of an embedding, recurrent layers and a softmax, in one
// direction or, where stack.bidirectional, in both.
template <typename T>
std::unique_ptr<Network<T>> MakeRecurrentNetwork(
    const RecurrentNetworkOptions& options);

// The RNN encoder-decoder (Cho et al. 2014, Sutskever et al. 2014) with each of
// its extensions a switch.
struct TranslationNetworkOptions {
  WordId source_vocabulary = 0;
  WordId vocabulary = 0;        // of the translation
  std::optional<WordId> never;  // of probability 0: <s>
  size_t embedding = 0;         // of both languages
  Cell cell = Cell::kLstm;
  Activation activation = Activation::kTanh;  // of Cell::kRnn
  size_t units = 0;                           // of each direction
  size_t layers = 1;                          // of encoder and decoder
  // The decoder's recurrent weights are the encoder's. REQUIRES: the encoder
  // has one direction, and the decoder reads no context.
  bool shared = false;
  bool reads_word = true;      // the decoder reads the word before
  bool reads_context = false;  // and, at each step, the encoder's last state
  bool bidirectional = false;  // the encoder
  bool attention = false;  // the decoder looks at all of the encoder's states
  // What is said of the source in the file: its words come last to first.
  bool reverse_source = false;
  bool tied = false;  // output weights are the embedding. REQUIRES: reads_word
  double dropout = 0;
  double initial_range = 0.1;  // of embeddings and output weights
  Cutoffs cutoffs;
};

// Makes the network. Its inputs are the words before, targets those to predict,
// beside each other sources of one length.
template <typename T>
std::unique_ptr<Network<T>> MakeTranslationNetwork(
    const TranslationNetworkOptions& options);

struct WindowNetworkOptions {
  WordId vocabulary = 0;
  std::optional<WordId> never;
  size_t embedding = 0;
  size_t window = 4;  // words of context
  size_t hidden = 0;
  bool direct = false;  // connections from the embeddings to the output
  double dropout = 0;   // of the embeddings and of the hidden layer
  Cutoffs cutoffs;
};

// Makes the network of Bengio et al. 2003:
//   y = softmax(W2 tanh(W1 x + b1) + W3 x + b3)
// with x the embeddings of the words of the window, the farthest first.
template <typename T>
std::unique_ptr<Network<T>> MakeWindowNetwork(
    const WindowNetworkOptions& options);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_NETWORK_H_
