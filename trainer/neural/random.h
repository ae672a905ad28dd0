#ifndef LMSERVE_TRAINER_NEURAL_RANDOM_H_
#define LMSERVE_TRAINER_NEURAL_RANDOM_H_

#include <cstdint>
#include <initializer_list>
#include <utility>
#include <vector>

namespace lmserve {

// Random numbers that follow from a seed and from what they are for, such as
// the step and the layer: a training that goes on from a checkpoint draws what
// it would have drawn (SplitMix64, Steele et al. 2014). One thread at a time.
class Random {
 public:
  Random(uint64_t seed, std::initializer_list<uint64_t> purpose)
      : state_(seed) {
    for (uint64_t part : purpose) state_ = Next() ^ part;
  }

  uint64_t Next() {
    uint64_t z = state_ += 0x9E3779B97F4A7C15;
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
    z = (z ^ z >> 27) * 0x94D049BB133111EB;
    return z ^ z >> 31;
  }

  // Uniform in [0, 1).
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1p-53; }

  // Uniform in [-range, range).
  double Uniform(double range) { return range * (2 * Uniform() - 1); }

  // Uniform below n. REQUIRES: n > 0.
  uint64_t Below(uint64_t n) { return Next() % n; }

  template <typename T>
  void Shuffle(std::vector<T>* items) {
    for (size_t i = items->size(); i > 1; --i) {
      std::swap((*items)[i - 1], (*items)[Below(i)]);
    }
  }

 private:
  uint64_t state_;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_RANDOM_H_
