// SPDX-License-Identifier: Apache-2.0
#include "models/mixture/mixture_kernel.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace lmserve {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> Mix(const std::vector<double>& weights,
                       const std::vector<float>& log_probs) {
  std::vector<float> mixed(log_probs.size() / weights.size());
  MixLogProbs(weights, log_probs.data(), mixed.size(), mixed.data());
  return mixed;
}

// Returns log-probabilities from 0 to -60, and 10 % of -infinity, with the
// shape (members, words).
std::vector<float> RandomLogProbs(size_t members, size_t words) {
  std::mt19937 random(1);
  std::vector<float> log_probs(members * words);
  for (float& log_prob : log_probs) {
    const uint32_t draw = random() % 6000;
    log_prob = draw < 600 ? -kInfinity : -static_cast<float>(draw) / 100;
  }
  return log_probs;
}

TEST(MixtureKernelTest, EqualsThePlainSum) {
  const std::vector<double> weights = {0.5, 0.125, 0.375};
  constexpr size_t kWords = 1001;
  const std::vector<float> log_probs = RandomLogProbs(3, kWords);
  const std::vector<float> mixed = Mix(weights, log_probs);
  for (size_t t = 0; t < kWords; ++t) {
    double sum = 0;
    for (size_t m = 0; m < 3; ++m) {
      sum += weights[m] * std::exp(double{log_probs[m * kWords + t]});
    }
    if (sum == 0) {
      ASSERT_EQ(mixed[t], -kInfinity);
    } else {
      ASSERT_NEAR(mixed[t], std::log(sum), 5e-7 * std::abs(std::log(sum)));
    }
  }
}

// The result for a word depends neither on its position within a SIMD vector
// nor on the words beside it.
TEST(MixtureKernelTest, SameBitsAtEveryPosition) {
  const std::vector<double> weights = {0.7, 0.3};
  constexpr size_t kWords = 100;
  const std::vector<float> log_probs = RandomLogProbs(2, kWords);
  const std::vector<float> mixed = Mix(weights, log_probs);
  for (size_t begin = 0; begin < kWords; ++begin) {
    for (size_t end = begin + 1; end <= std::min(begin + 20, kWords); ++end) {
      std::vector<float> part;
      for (size_t m = 0; m < 2; ++m) {
        part.insert(part.end(), log_probs.begin() + m * kWords + begin,
                    log_probs.begin() + m * kWords + end);
      }
      const std::vector<float> found = Mix(weights, part);
      ASSERT_TRUE(
          std::equal(found.begin(), found.end(), mixed.begin() + begin));
    }
  }
}

TEST(MixtureKernelTest, InPlace) {
  std::vector<float> log_probs = RandomLogProbs(3, 77);
  const std::vector<double> weights = {0.2, 0.3, 0.5};
  const std::vector<float> expected = Mix(weights, log_probs);
  MixLogProbs(weights, log_probs.data(), 77, log_probs.data());
  log_probs.resize(77);
  EXPECT_EQ(log_probs, expected);
}

TEST(MixtureKernelTest, MembersOfWeight0AreIgnored) {
  const std::vector<float> mixed =
      Mix({0, 1}, {0, -1, -kInfinity, -5000, -2, -3});
  EXPECT_EQ(mixed, std::vector<float>({-5000, -2, -3}));
}

TEST(MixtureKernelTest, NoWords) { EXPECT_TRUE(Mix({1}, {}).empty()); }

}  // namespace
}  // namespace lmserve
