// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NGRAM_COMPACT_COUNT_SMOOTHING_H_
#define LMSERVE_MODELS_NGRAM_COMPACT_COUNT_SMOOTHING_H_

#include <array>
#include <cstdint>

namespace lmserve {

// The parameters of the smoothing of one order. An n-gram with count c, whose
// context h has n children with counts of sum s, has the share
//   u = (c - discount[min(c, 3)]) / (s + types_weight n)
// of the probability, and leaves to the lower orders the factor
//   g = (sum of the discounts of the children + types_weight n) /
//       (s + types_weight n),
// so that P(w | h) = u + g P(w | h'). Modified Kneser-Ney smoothing (Chen and
// Goodman 1998, section 3) has a types_weight of 0; Witten-Bell smoothing has
// 1, and no discounts.
struct CountSmoothing {
  double Discounted(uint64_t count) const {
    // As a signed number, which the processor converts directly.
    return static_cast<double>(static_cast<int64_t>(count)) -
           discount[count < 3 ? count : 3];
  }

  std::array<double, 4> discount;  // discount[0] is 0
  double types_weight;
};

// The share of a child per count and the factor of the lower orders, for one
// context. 1 / 0 is not computed: a context without children has {0, 1}.
struct CountWeights {
  double inverse;   // 1 / (s + types_weight n)
  double leftover;  // g
};

// What the weights of a context need to know of its children.
struct CountSums {
  // Adds a child. Words with a count of 0, which only unigrams have, are no
  // children.
  void Add(uint64_t count) {
    children += count > 0;
    sum += count;
    ones += count == 1;
    twos += count == 2;
  }
  CountWeights Weights(const CountSmoothing& smoothing) const;

  uint64_t children = 0;
  uint64_t sum = 0;
  uint64_t ones = 0;  // children with a count of 1
  uint64_t twos = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_COMPACT_COUNT_SMOOTHING_H_
