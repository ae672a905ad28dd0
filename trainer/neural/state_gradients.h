// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NEURAL_STATE_GRADIENTS_H_
#define LMSERVE_TRAINER_NEURAL_STATE_GRADIENTS_H_

#include <cstddef>
#include <vector>

#include "absl/types/span.h"
#include "models/vocabulary.h"
#include "trainer/neural/load_network.h"

namespace lmserve {

// How much the loss of a word depends on earlier states of a network: the mean
// over places t of a text of |dJ_t/ds_k|, the Euclidean norm of the derivative
// of J_t = -ln P(w_{t+1} | w_1 ... w_t) by a state s_k, for each distance t -
// k. Bengio, Simard and Frasconi 1994 and Pascanu, Mikolov and Bengio 2013
// explain why these vanish or explode.
struct GradientCurve {
  size_t layer = 0;
  // The state by which J is differentiated: the c of an LSTM, or h.
  bool is_cell_state = false;
  std::vector<double> mean;     // by distance
  std::vector<double> largest;  // the largest of a place, by distance
};

struct StateGradientOptions {
  size_t distance = 50;  // the largest distance
  size_t places = 1000;  // in the text; fewer if it is shorter
};

struct StateGradientResult {
  std::vector<GradientCurve> curves;  // of h and of c of each layer
  size_t places = 0;
  // For a network with one layer of plain cells h_t = f(W h_{t-1} + ...): the
  // factor beta_W beta_h of the bound
  //   |dJ_t/dh_k| <= (beta_W beta_h)^(t-k) |dJ_t/dh_t|
  // where beta_W is the largest singular value of W and beta_h the largest
  // slope of f. Otherwise 0.
  double factor = 0;
};

// Reads a text as one stream and differentiates the loss at places that are
// distance + 1 words apart, in double precision. `words` are in the form of
// Corpus::words. REQUIRES: words are of the network's vocabulary, in which <s>
// is `begin` and </s> is `end`; there is at least one word.
StateGradientResult MeasureStateGradients(const LoadedNetwork& network,
                                          absl::Span<const WordId> words,
                                          WordId begin, WordId end,
                                          const StateGradientOptions& options);

// Returns the largest singular value of a row-major matrix (rows, cols), by
// power iteration.
double LargestSingularValue(absl::Span<const float> matrix, size_t rows,
                            size_t cols);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_STATE_GRADIENTS_H_
