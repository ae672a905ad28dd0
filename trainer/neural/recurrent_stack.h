// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NEURAL_RECURRENT_STACK_H_
#define LMSERVE_TRAINER_NEURAL_RECURRENT_STACK_H_

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "models/neural/output_layer.h"
#include "models/neural/products.h"
#include "models/neural/recurrent_layer.h"
#include "trainer/neural/dropout.h"
#include "trainer/neural/parameters.h"

namespace lmserve {

struct RecurrentStackOptions {
  std::string prefix = {};  // of the names of the parameters
  Cell cell = Cell::kLstm;
  Activation activation = Activation::kTanh;  // used by Cell::kRnn
  size_t inputs = 0;  // width of the input; 0: there is no input
  size_t units = 0;
  size_t layers = 1;
  // If set, each layer has two directions; the next layer reads both outputs.
  bool bidirectional = false;
  double dropout = 0;      // of the input of every layer and of the output
  double weight_drop = 0;  // dropout of the numbers of every W_hh
  ProductPrecision products = ProductPrecision::kFloat;
};

// Returns the metadata of a weights file that describe a network of recurrent
// layers and a softmax: see kNonlinearityKey and kCutoffsKey.
std::map<std::string, std::string> RecurrentMetadata(
    const RecurrentStackOptions& options, const Cutoffs& cutoffs);

// The recurrent layers of a network, for training with backpropagation through
// time. Data have the shape (steps * streams, width); the rows of a step are
// adjacent. The matrix products with the inputs of all steps are computed at
// once, and so are those for the gradients. The object keeps the values that
// Backward() needs. A copy shares the parameters but has its own values. Not
// thread-safe.
template <typename T>
class RecurrentStack {
 public:
  // The state of some streams between two batches: h and, for an LSTM, c, both
  // of shape (streams, units), for each layer and, within it, each direction.
  struct State {
    std::vector<std::vector<T>> h, c;
  };

  // dE/d(state after each step) of each layer and, within it, each direction,
  // (steps * streams, units): by h with c constant, and for an LSTM by c, of
  // which h is a function.
  struct StateGradients {
    std::vector<std::vector<T>> h, c;
  };

  // Adds the parameters, under PyTorch's names, to the layout, which must
  // outlive the object.
  RecurrentStack(const RecurrentStackOptions& options, ParameterLayout* layout);

  // Sets the initial parameters. They are uniform in [-1 / sqrt(units),
  // 1 / sqrt(units)), as in PyTorch. 1 is added to the bias of the forget gate
  // of an LSTM, so that the gate is initially open (Jozefowicz et al. 2015).
  void Initialize(T* values, Random* random) const;

  // Sets W_hh of Cell::kRnn to the identity matrix and the biases to 0 (Le et
  // al. 2015).
  void StartAtIdentity(T* values) const;

  // The width of the output.
  size_t outputs() const { return options_.units * directions(); }

  // Returns a state of zeros.
  State MakeState(size_t streams) const;

  // Returns the output for the input x, (steps * streams, inputs). Starts from
  // *state and sets it to the state after the last step. Applies no dropout if
  // random is null. Weight dropout removes the same recurrent connections in
  // all steps (Wan et al. 2013; for recurrent networks Merity et al. 2017). The
  // result is valid until the next call.
  const T* Forward(const T* values, size_t steps, size_t streams,
                   std::vector<T> x, State* state, Random* random);

  // The output of the first layer in the last Forward(), with the dropout of
  // what reads it: (steps * streams, outputs()).
  const T* first_output() const { return inputs_[1].data(); }

  // Returns dE/dx, given dE/d(output), and adds dE/d(parameter) to the
  // gradients. If d_state is not null, it is dE/d(state after the last step)
  // and is set to dE/d(state before the first step). Otherwise the state is a
  // constant. If `states` is not null, it is set. If d_first is not null, it is
  // dE/d(first_output()) but for what comes through the output.
  const std::vector<T>& Backward(const T* values, std::vector<T> d_output,
                                 State* d_state, T* gradients,
                                 StateGradients* states = nullptr,
                                 const std::vector<T>* d_first = nullptr);

 private:
  // The parameters of a layer in one direction.
  struct Parameters {
    size_t weight_ih = 0, weight_hh = 0, bias_ih = 0, bias_hh = 0;
  };
  // The values of one direction of a layer. h and c have one block of streams
  // per step and one more for the initial state: the first block or, in the
  // backward direction, the last one.
  struct Run {
    std::vector<T> gates, recurrent, h, c;
    std::vector<T> weight_hh;  // after weight dropout; empty without it
  };

  size_t directions() const { return options_.bidirectional ? 2 : 1; }
  size_t inputs(size_t layer) const {
    return layer == 0 ? options_.inputs : outputs();
  }
  size_t gates() const { return GateCount(options_.cell) * options_.units; }
  bool has_cell_state() const { return options_.cell == Cell::kLstm; }

  // The block of h or c that a step writes, and the one that it reads.
  size_t BlockAfter(size_t step, bool reverse) const {
    return reverse ? step : step + 1;
  }
  size_t BlockBefore(size_t step, bool reverse) const {
    return reverse ? step + 1 : step;
  }
  size_t StepAt(size_t i, bool reverse) const {
    return reverse ? steps_ - 1 - i : i;
  }

  // Returns W_hh of the run as Forward() used it: without the numbers that
  // weight dropout removed.
  MatrixView<const T> RecurrentWeights(const T* values, size_t index) const;

  void DropWeights(const T* values, size_t index, Random* random);
  void ForwardDirection(const T* values, size_t layer, bool reverse,
                        State* state);
  void Step(Run& run, size_t step, bool reverse) const;
  void BackwardDirection(const T* values, size_t layer, bool reverse,
                         const std::vector<T>& d_output, State* d_state,
                         std::vector<T>* dx, T* gradients,
                         StateGradients* states);
  void KeepStateGradients(size_t index, size_t step, bool reverse, const T* dh,
                          const T* dc, StateGradients* states) const;
  void StepBackward(const Run& run, size_t step, bool reverse, const T* dh,
                    T* dc, T* d_old_h);

  const RecurrentStackOptions options_;
  const ParameterLayout& layout_;
  Products<T> products_;
  std::vector<Parameters> parameters_;    // by layer, then by direction
  std::vector<Dropout<T>> dropouts_;      // of each layer's input; last: output
  std::vector<Dropout<T>> weight_drops_;  // of W_hh, like parameters_

  size_t steps_ = 0;
  size_t streams_ = 0;
  std::vector<std::vector<T>> inputs_;    // of each layer; last: the output
  std::vector<Run> runs_;                 // by layer, then by direction
  std::vector<T> d_input_, d_recurrent_;  // of the arguments of the gates
  std::vector<T> d_dropped_;              // of W_hh after weight dropout
  std::vector<T> dx_;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_RECURRENT_STACK_H_
