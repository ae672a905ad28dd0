#ifndef LMSERVE_TRAINER_EVALUATION_MIXTURE_WEIGHTS_H_
#define LMSERVE_TRAINER_EVALUATION_MIXTURE_WEIGHTS_H_

#include <cstddef>
#include <vector>

#include "absl/types/span.h"

namespace lmserve {

struct FitOptions {
  int iterations = 200;  // at most
  // Enough is enough when an iteration gains less, as a share of ln P.
  double gain = 1e-7;
};

struct MixtureFit {
  std::vector<double> weights;  // sum to 1
  int iterations = 0;
  double log_prob = 0;    // ln P of the words that the mixture allows
  size_t impossible = 0;  // words that no member allows
};

// The weights under which a mixture finds a text likeliest, by expectation
// maximisation from equal weights: no iteration makes it less likely.
// log_probs[m][t] is ln P of word t under member m, and may be -infinity. Words
// that are impossible under all members have no say.
// REQUIRES: 1 member or more, all with as many words.
MixtureFit FitMixtureWeights(absl::Span<const std::vector<float>> log_probs,
                             const FitOptions& options = {});

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_EVALUATION_MIXTURE_WEIGHTS_H_
