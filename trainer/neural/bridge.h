// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NEURAL_BRIDGE_H_
#define LMSERVE_TRAINER_NEURAL_BRIDGE_H_

#include <cstddef>
#include <vector>

#include "trainer/neural/parameters.h"
#include "trainer/neural/recurrent_stack.h"

namespace lmserve {

// Computes the initial state of a decoder from the last states of a
// bidirectional encoder with the same number of units and layers, for training.
// For each layer,
//   h = tanh(W_h [h>; h<] + b_h)     c = W_c [c>; c<] + b_c
// where > and < are the forward and the backward direction. Only an LSTM has c.
// The object keeps the values that Backward() needs. Not thread-safe.
template <typename T>
class Bridge {
 public:
  using State = typename RecurrentStack<T>::State;

  // Adds the parameters to the layout, which must outlive the object.
  Bridge(size_t units, size_t layers, bool has_cell_state,
         ParameterLayout* layout);

  // Returns the initial state of the decoder.
  State Forward(const T* values, const State& encoded);

  // Returns dE/d(encoder's states), given dE/d(decoder's state), and adds
  // dE/d(parameter) to the gradients.
  State Backward(const T* values, const State& d_state, T* gradients) const;

 private:
  struct Linear {
    size_t weight, bias;
  };

  // Apply() returns y = x W^T + b, (streams, units). It stores x, the states of
  // both directions side by side, (streams, 2 units), in *joined.
  // ApplyBackward() computes dE/dx from dE/dy.
  std::vector<T> Apply(const T* values, const Linear& linear,
                       const std::vector<T>& forward,
                       const std::vector<T>& backward, std::vector<T>* joined);
  void ApplyBackward(const T* values, const Linear& linear,
                     const std::vector<T>& joined, const std::vector<T>& dy,
                     std::vector<T>* d_forward, std::vector<T>* d_backward,
                     T* gradients) const;

  const size_t units_;
  const ParameterLayout& layout_;
  std::vector<Linear> h_, c_;  // by layer

  std::vector<std::vector<T>> joined_h_, joined_c_, states_h_;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_BRIDGE_H_
