// SPDX-License-Identifier: Apache-2.0
#include "trainer/counting/ngram_sketch.h"

#include <algorithm>
#include <cmath>

namespace lmserve {
namespace {

// Mixes the bits of a number (the finalizer of SplitMix64).
uint64_t MixBits(uint64_t x) {
  x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9;
  x = (x ^ x >> 27) * 0x94D049BB133111EB;
  return x ^ x >> 31;
}

}  // namespace

uint64_t SketchHash(absl::string_view word) {
  uint64_t hash = 0xCBF29CE484222325;  // FNV-1a
  for (char c : word) hash = (hash ^ static_cast<uint8_t>(c)) * 0x100000001B3;
  return MixBits(hash);
}

NgramSketch::NgramSketch(int order)
    : order_(order), registers_(order * kRegisters, 0) {}

void NgramSketch::AddSentence(absl::Span<const uint64_t> words) {
  for (size_t i = 0; i < words.size(); ++i) {
    const size_t end = std::min(words.size(), i + order_);
    uint64_t hash = 0;
    for (size_t j = i; j < end; ++j) {
      hash = MixBits(hash * 0x9E3779B97F4A7C15 + words[j]);
      Add(static_cast<int>(j - i) + 1, hash);
    }
  }
}

void NgramSketch::Merge(const NgramSketch& other) {
  for (size_t i = 0; i < registers_.size(); ++i) {
    registers_[i] = std::max(registers_[i], other.registers_[i]);
  }
}

double NgramSketch::Estimate(int order) const {
  double sum = 0;
  int zeros = 0;
  for (size_t i = 0; i < kRegisters; ++i) {
    const uint8_t highest = registers_[(order - 1) * kRegisters + i];
    sum += std::ldexp(1.0, -highest);
    zeros += highest == 0;
  }
  constexpr double kCount = kRegisters;
  const double estimate = 0.7213 / (1 + 1.079 / kCount) * kCount * kCount / sum;
  // Small numbers are counted by the empty registers.
  if (estimate > 2.5 * kCount || zeros == 0) return estimate;
  return kCount * std::log(kCount / zeros);
}

}  // namespace lmserve
