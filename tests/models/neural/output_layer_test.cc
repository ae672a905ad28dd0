// SPDX-License-Identifier: Apache-2.0
//
// Compares the full and the adaptive softmax with naive ones in double.

#include "models/neural/output_layer.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

using Floats = std::vector<float>;

struct Case {
  std::string name;
  WordId size;
  size_t features;
  Cutoffs cutoffs = {};
  Precision precision = Precision::kFloat;
  WordId never = 1;

  friend void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }
};

class OutputLayerTest : public testing::TestWithParam<Case> {
 protected:
  OutputLayerTest() : layer_(Make()) {
    x_ = Uniform(kRows * features(), 2);
    expected_ = NaiveDistributions();
  }

  static constexpr size_t kRows = 140;  // more than are computed at once

  size_t size() const { return GetParam().size; }
  size_t features() const { return GetParam().features; }

  Floats Uniform(size_t n, float range) {
    std::uniform_real_distribution<float> uniform(-range, range);
    Floats numbers(n);
    for (float& x : numbers) x = uniform(random_);
    return numbers;
  }

  // Returns a random matrix in the precision of the case. *converted owns its
  // bytes.
  WeightMatrix RandomMatrix(size_t rows, ConvertedMatrix* converted) {
    const Floats floats = Uniform(rows * features(), 1);
    *converted = ConvertMatrix(WeightMatrix::Of(floats, rows, features()),
                               GetParam().precision);
    WeightMatrix matrix;
    matrix.precision = GetParam().precision;
    matrix.rows = rows;
    matrix.cols = features();
    matrix.bytes = converted->bytes;
    matrix.scales = converted->scales;
    return matrix;
  }

  OutputLayer Make() {
    weights_.cutoffs = GetParam().cutoffs;
    weights_.words = RandomMatrix(size(), &words_);
    bias_ = Uniform(size(), 1);
    bias_[GetParam().never] = -kInfinity;
    weights_.bias = bias_;
    if (!weights_.cutoffs.empty()) {
      weights_.classes = RandomMatrix(weights_.cutoffs.size(), &classes_);
      class_bias_ = Uniform(weights_.cutoffs.size(), 1);
      weights_.class_bias = class_bias_;
    }
    return OutputLayer::Create(weights_).value();
  }

  double Logit(const WeightMatrix& matrix, const Floats& bias, size_t output,
               const float* x) const {
    Floats w(features());
    matrix.CopyRow(output, w.data());
    double sum = bias[output];
    for (size_t k = 0; k < features(); ++k) sum += double{x[k]} * w[k];
    return sum;
  }

  static double LogSum(const std::vector<double>& logits) {
    const double max = *std::max_element(logits.begin(), logits.end());
    double sum = 0;
    for (double logit : logits) sum += std::exp(logit - max);
    return max + std::log(sum);
  }

  // Computes ln P of all words for one row of features, directly from the
  // equations in output_layer.h.
  std::vector<double> NaiveDistribution(const float* x) const {
    const Cutoffs& cutoffs = GetParam().cutoffs;
    std::vector<double> logits;
    for (size_t w = 0; w < size(); ++w) {
      logits.push_back(Logit(weights_.words, bias_, w, x));
    }
    const size_t head_words = cutoffs.empty() ? size() : cutoffs[0];
    std::vector<double> head(logits.begin(), logits.begin() + head_words);
    for (size_t i = 0; i < cutoffs.size(); ++i) {
      head.push_back(Logit(weights_.classes, class_bias_, i, x));
    }
    const double head_sum = LogSum(head);
    std::vector<double> log_probs;
    for (size_t w = 0; w < head_words; ++w) {
      log_probs.push_back(head[w] - head_sum);
    }
    for (size_t i = 0; i < cutoffs.size(); ++i) {
      const size_t end = i + 1 < cutoffs.size() ? cutoffs[i + 1] : size();
      const std::vector<double> tail(logits.begin() + cutoffs[i],
                                     logits.begin() + end);
      const double class_log_prob = head[head_words + i] - head_sum;
      for (double logit : tail) {
        log_probs.push_back(class_log_prob + logit - LogSum(tail));
      }
    }
    return log_probs;
  }

  std::vector<std::vector<double>> NaiveDistributions() const {
    std::vector<std::vector<double>> all;
    for (size_t r = 0; r < 5; ++r) {
      all.push_back(NaiveDistribution(&x_[r * features()]));
    }
    return all;
  }

  Floats Distributions(size_t rows) const {
    Floats found(rows * size());
    layer_.Distribution(x_.data(), rows, found.data());
    return found;
  }

  // Float products only differ in the order of summation. For the other
  // precisions, this is an upper bound for the effect of rounding the features
  // on the difference of two logits: twice that on a single logit.
  double Tolerance() const {
    switch (GetParam().precision) {
      case Precision::kFloat:
        return 1e-5;
      case Precision::kBf16:
        return 2 * 0x1p-8 * features();
      case Precision::kInt8:
        return 2 * 2.0 / 127 * features() / 2;
    }
    return 0;
  }

  std::mt19937 random_{9};
  ConvertedMatrix words_, classes_;
  Floats bias_, class_bias_;
  OutputLayer::Weights weights_;
  const OutputLayer layer_;
  Floats x_;
  std::vector<std::vector<double>> expected_;
};

TEST_P(OutputLayerTest, EqualsNaiveSoftmax) {
  ASSERT_EQ(layer_.size(), size());
  ASSERT_EQ(layer_.features(), features());
  const Floats found = Distributions(expected_.size());
  for (size_t r = 0; r < expected_.size(); ++r) {
    for (size_t w = 0; w < size(); ++w) {
      const double expected = expected_[r][w];
      if (w == GetParam().never) {
        ASSERT_EQ(found[r * size() + w], -kInfinity);
        continue;
      }
      ASSERT_NEAR(found[r * size() + w], expected,
                  Tolerance() + 1e-6 * std::abs(expected))
          << "row " << r << ", word " << w;
    }
  }
}

TEST_P(OutputLayerTest, SumsToOne) {
  const Floats found = Distributions(kRows);
  for (size_t r = 0; r < kRows; ++r) {
    double sum = 0;
    for (size_t w = 0; w < size(); ++w) {
      sum += std::exp(double{found[r * size() + w]});
    }
    ASSERT_NEAR(sum, 1, 1e-5);
  }
}

// Rows ask for all words, for some, for one word several times, or for none.
TEST_P(OutputLayerTest, ScoreHasTheBitsOfDistribution) {
  const Floats distributions = Distributions(kRows);
  std::vector<std::vector<WordId>> words(kRows);
  std::vector<Floats> found(kRows);
  std::vector<OutputLayer::Targets> rows;
  for (size_t r = 0; r < kRows; ++r) {
    const size_t count = r == 0 ? size() : r % 4 == 1 ? 0 : r % 7;
    for (size_t i = 0; i < count; ++i) {
      words[r].push_back(r == 0 ? i : random_() % size());
    }
    if (r % 3 == 0) words[r].insert(words[r].end(), 2, size() - 1);
    found[r].assign(words[r].size(), 77);
    rows.push_back({words[r], found[r].data()});
  }
  layer_.Score(x_.data(), rows);
  for (size_t r = 0; r < kRows; ++r) {
    for (size_t i = 0; i < words[r].size(); ++i) {
      const float expected = distributions[r * size() + words[r][i]];
      ASSERT_EQ(std::bit_cast<uint32_t>(found[r][i]),
                std::bit_cast<uint32_t>(expected))
          << "row " << r << ", word " << words[r][i] << ": " << found[r][i]
          << " and " << expected;
    }
  }
}

TEST_P(OutputLayerTest, RowsHaveTheSameBitsAlone) {
  const Floats together = Distributions(kRows);
  Floats alone(size());
  for (size_t r = 0; r < kRows; ++r) {
    layer_.Distribution(&x_[r * features()], 1, alone.data());
    ASSERT_EQ(std::memcmp(alone.data(), &together[r * size()],
                          size() * sizeof(float)),
              0);
  }
}

TEST_P(OutputLayerTest, NoRows) {
  layer_.Score(x_.data(), {});
  layer_.Distribution(x_.data(), 0, nullptr);
}

std::vector<Case> Cases() {
  std::vector<Case> cases = {
      {"full_small", 5, 3},
      {"full", 70, 12},
      // Several blocks, the last of which has one output.
      {"full_blocks", 2 * 2048 + 1, 8},
      {"full_last_word_never", 2049, 4, {}, Precision::kFloat, 2048},
      {"adaptive_small", 5, 3, {2}},
      {"adaptive_one_word_in_head", 20, 6, {1}, Precision::kFloat, 2},
      {"adaptive_one_word_in_tail", 20, 6, {19}},
      {"adaptive_never_in_a_tail", 30, 6, {10, 20}, Precision::kFloat, 15},
      {"adaptive_never_last", 30, 6, {10, 20}, Precision::kFloat, 29},
      {"adaptive_many", 30, 6, {2, 3, 4, 20, 29}},
      // The words of the head fill one block; its classes are in another.
      {"adaptive_blocks", 6000, 5, {2048, 4097}},
  };
  for (Precision precision : {Precision::kBf16, Precision::kInt8}) {
    const std::string suffix = absl::StrCat("_", PrecisionName(precision));
    cases.push_back({"full" + suffix, 70, 12, {}, precision});
    cases.push_back({"adaptive" + suffix, 70, 12, {9, 40}, precision});
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Layers, OutputLayerTest, testing::ValuesIn(Cases()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace lmserve
