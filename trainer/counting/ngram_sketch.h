// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COUNTING_NGRAM_SKETCH_H_
#define LMSERVE_TRAINER_COUNTING_NGRAM_SKETCH_H_

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lmserve {

// Returns a 64-bit hash of a word that is the same in every process.
uint64_t SketchHash(absl::string_view word);

// Estimates the number of different n-grams of each order in a text, with a
// standard error of 0.8 %, in 16 KiB per order (HyperLogLog: Flajolet et al.
// 2007). Not thread-safe.
class NgramSketch {
 public:
  // For the orders 1 to `order`.
  explicit NgramSketch(int order);

  // Adds the n-grams of a sentence: the SketchHash() of <s>, of its words, and
  // of </s>.
  void AddSentence(absl::Span<const uint64_t> words);

  // Adds what another sketch of the same order has seen.
  void Merge(const NgramSketch& other);

  // Returns the estimate for an order, from 1 on.
  double Estimate(int order) const;

 private:
  static constexpr int kIndexBits = 14;
  static constexpr size_t kRegisters = size_t{1} << kIndexBits;

  void Add(int order, uint64_t hash) {
    uint8_t& highest =
        registers_[(order - 1) * kRegisters + (hash >> (64 - kIndexBits))];
    const auto rank =
        static_cast<uint8_t>(__builtin_clzll(hash << kIndexBits | 1) + 1);
    if (rank > highest) highest = rank;
  }

  const int order_;
  std::vector<uint8_t> registers_;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COUNTING_NGRAM_SKETCH_H_
