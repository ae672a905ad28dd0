#ifndef LMSERVE_TRAINER_NEURAL_RECURRENT_STACK_H_
#define LMSERVE_TRAINER_NEURAL_RECURRENT_STACK_H_

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "models/neural/output_layer.h"
#include "models/neural/recurrent_layer.h"
#include "trainer/neural/dropout.h"
#include "trainer/neural/parameters.h"

namespace lmserve {

struct RecurrentStackOptions {
  std::string prefix = {};  // of the parameters' names
  Cell cell = Cell::kLstm;
  Activation activation = Activation::kTanh;  // of Cell::kRnn
  size_t inputs = 0;  // 0: each step reads the state before alone
  size_t units = 0;
  size_t layers = 1;
  bool bidirectional = false;  // each layer reads both states of that below
  double dropout = 0;          // of every layer's input and of the output
};

// Returns the metadata of a weights file that describe a network of recurrent
// layers and a softmax: see kNonlinearityKey and kCutoffsKey.
std::map<std::string, std::string> RecurrentMetadata(
    const RecurrentStackOptions& options, const Cutoffs& cutoffs);

// The recurrent layers of a network in training, with back-propagation through
// time. Data are (steps * streams, width), a step's streams beside each other.
// Products with the inputs of all steps are one; so are those for the
// gradients. Keeps what the way back needs. A copy has the same parameters, and
// a way of its own. One thread at a time.
template <typename T>
class RecurrentStack {
 public:
  // The state between two stretches of some streams: of each layer, and within
  // it each direction, h and, of an LSTM, c, both (streams, units).
  struct State {
    std::vector<std::vector<T>> h, c;
  };

  // Adds its parameters, under PyTorch's names, to the layout.
  RecurrentStack(const RecurrentStackOptions& options, ParameterLayout* layout);

  // Writes where training starts from: uniform in 1 / sqrt(units), as PyTorch
  // has it, but for the forget gate of an LSTM, which starts open (Jozefowicz
  // et al. 2015).
  void Initialize(T* values, Random* random) const;
  // Sets W_hh of Cell::kRnn to the identity and the biases to 0 (Le et al.
  // 2015).
  void StartAtIdentity(T* values) const;

  size_t outputs() const { return options_.units * directions(); }

  // All zero.
  State MakeState(size_t streams) const;

  // Reads x, which it may change, from the state, which moves. Drops nothing
  // where random is null. The result lives until the next call.
  const T* Forward(const T* values, size_t steps, size_t streams,
                   std::vector<T> x, State* state, Random* random);

  // From dE/d(output), which it may change: dE/dx, and adds dE/d(parameter).
  // d_state, if it is not null, is dE/d(state after the stretch) and becomes
  // dE/d(state before it); otherwise gradients end where the stretch begins.
  const std::vector<T>& Backward(const T* values, std::vector<T> d_output,
                                 State* d_state, T* gradients);

 private:
  // The parameters of a layer in one direction.
  struct Parameters {
    size_t weight_ih = 0, weight_hh = 0, bias_ih = 0, bias_hh = 0;
  };
  // One direction of a layer on its way. h and c have a block of streams more
  // than there are steps, for the state before: the first, or, reversed, the
  // last.
  struct Run {
    std::vector<T> gates, recurrent, h, c;
  };

  size_t directions() const { return options_.bidirectional ? 2 : 1; }
  size_t inputs(size_t layer) const {
    return layer == 0 ? options_.inputs : outputs();
  }
  size_t gates() const { return GateCount(options_.cell) * options_.units; }
  bool has_cell_state() const { return options_.cell == Cell::kLstm; }

  // The block of h or c that a step makes, and the one that it reads.
  size_t BlockAfter(size_t step, bool reverse) const {
    return reverse ? step : step + 1;
  }
  size_t BlockBefore(size_t step, bool reverse) const {
    return reverse ? step + 1 : step;
  }
  size_t StepAt(size_t i, bool reverse) const {
    return reverse ? steps_ - 1 - i : i;
  }

  void ForwardDirection(const T* values, size_t layer, bool reverse,
                        State* state);
  void Step(Run& run, size_t step, bool reverse) const;
  void BackwardDirection(const T* values, size_t layer, bool reverse,
                         const std::vector<T>& d_output, State* d_state,
                         std::vector<T>* dx, T* gradients);
  void StepBackward(const Run& run, size_t step, bool reverse, const T* dh,
                    T* dc, T* d_old_h);

  const RecurrentStackOptions options_;
  const ParameterLayout& layout_;
  std::vector<Parameters> parameters_;  // by layer, then direction
  std::vector<Dropout<T>> dropouts_;    // of each layer's input, of the output

  size_t steps_ = 0;
  size_t streams_ = 0;
  std::vector<std::vector<T>> inputs_;  // of each layer; the last is the output
  std::vector<Run> runs_;               // by layer, then direction
  std::vector<T> d_input_, d_recurrent_;  // of the gates' sums
  std::vector<T> dx_;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_RECURRENT_STACK_H_
