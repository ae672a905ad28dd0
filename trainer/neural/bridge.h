#ifndef LMSERVE_TRAINER_NEURAL_BRIDGE_H_
#define LMSERVE_TRAINER_NEURAL_BRIDGE_H_

#include <cstddef>
#include <vector>

#include "trainer/neural/parameters.h"
#include "trainer/neural/recurrent_stack.h"

namespace lmserve {

// The way from the last states of a bidirectional encoder to the first of a
// decoder of as many units and layers, in training. Layer by layer,
//   h = tanh(W_h [h>; h<] + b_h)     c = W_c [c>; c<] + b_c
// of the states forward and backward; c is an LSTM's. Keeps what the way back
// needs. One thread at a time.
template <typename T>
class Bridge {
 public:
  using State = typename RecurrentStack<T>::State;

  Bridge(size_t units, size_t layers, bool has_cell_state,
         ParameterLayout* layout);

  State Forward(const T* values, const State& encoded);

  // From dE/d(decoder's state) dE/d(encoder's), and adds dE/d(parameter).
  State Backward(const T* values, const State& d_state, T* gradients) const;

 private:
  struct Linear {
    size_t weight, bias;
  };

  // y (streams, units) = x W^T + b, and from dE/dy dE/dx. x is joined (streams,
  // 2 units), and kept.
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
