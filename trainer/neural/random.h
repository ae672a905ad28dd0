// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NEURAL_RANDOM_H_
#define LMSERVE_TRAINER_NEURAL_RANDOM_H_

#include <cstdint>
#include <initializer_list>
#include <utility>
#include <vector>

namespace lmserve {

// What random numbers are used for. Each purpose has a stream of numbers of its
// own, so that draws for one never shift those for another. The values are part
// of the result of a training: the same seed gives the same weights only while
// they stay as they are.
enum class RandomPurpose : uint64_t {
  kInitialWeights = 0,
  kBatchOrder = 1,   // indexed by the epoch
  kClozeBlanks = 2,  // indexed by the epoch and the batch
  kDropout = 3,      // indexed by the step and the worker
  kWordDropout = 4,  // indexed by the epoch and the batch
};

// Random numbers that depend only on a seed, a purpose and indices such as the
// step. A training that is resumed from a checkpoint therefore draws the same
// numbers that it would have drawn without the interruption. The generator is
// SplitMix64 (Steele, Lea and Flood 2014). Not thread-safe.
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}

  Random(uint64_t seed, RandomPurpose purpose,
         std::initializer_list<uint64_t> indices = {})
      : state_(seed) {
    MixIn(static_cast<uint64_t>(purpose));
    for (uint64_t index : indices) MixIn(index);
  }

  uint64_t Next() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
  }

  // Returns a number that is uniform in [0, 1).
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1p-53; }

  // Returns a number that is uniform in [-range, range).
  double Uniform(double range) { return range * (2 * Uniform() - 1); }

  // Returns a whole number in [0, n), nearly uniform. REQUIRES: n > 0.
  uint64_t Below(uint64_t n) { return Next() % n; }

  template <typename T>
  void Shuffle(std::vector<T>* items) {
    for (size_t i = items->size(); i > 1; --i) {
      std::swap((*items)[i - 1], (*items)[Below(i)]);
    }
  }

 private:
  void MixIn(uint64_t part) { state_ = Next() ^ part; }

  uint64_t state_;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_RANDOM_H_
