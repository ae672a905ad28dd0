// SPDX-License-Identifier: Apache-2.0
#include "models/ngram/compact/value_encoder.h"

#include <bit>
#include <cmath>
#include <random>
#include <vector>

#include "gtest/gtest.h"
#include "models/language_model.h"
#include "models/ngram/compact/value_quantizer.h"

namespace lmserve {
namespace {

bool SameBits(float a, float b) {
  return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b);
}

// Expects that each value is decoded, and returns how they are encoded.
ValueRecord ExpectDecoded(const EncodedValues& encoded,
                          const std::vector<float>& values) {
  const ValueCodes codes = encoded.View();
  for (size_t i = 0; i < values.size(); ++i) {
    if (SameBits(codes.Value(i), values[i])) continue;
    ADD_FAILURE() << "value " << i << ": " << values[i] << " became "
                  << codes.Value(i);
    break;
  }
  return encoded.record;
}

std::vector<float> RandomLogProbs(size_t size) {
  std::mt19937 random(3);
  std::vector<float> values;
  for (size_t i = 0; i < size; ++i) {
    values.push_back(std::log(1e-7f + static_cast<float>(random()) * 2e-10f));
  }
  return values;
}

TEST(ValueEncoderTest, LogProbsOfANarrowRangeTakeFewerBits) {
  std::vector<float> values;
  values.reserve(5000);
  for (int i = 0; i < 5000; ++i) {
    values.push_back(-1 - 6.9f * static_cast<float>(i) / 5000);
  }
  const ValueRecord record = ExpectDecoded(EncodeLogProbs(values), values);
  EXPECT_EQ(static_cast<CodeKind>(record.kind), CodeKind::kLogProb);
  EXPECT_LE(record.bits, 25u);  // three exponents
  EXPECT_EQ(record.cells_at, 0u);
}

TEST(ValueEncoderTest, SpecialLogProbs) {
  std::vector<float> values = RandomLogProbs(3000);
  for (size_t i = 0; i < values.size(); i += 7) values[i] = kBlankLogProb;
  for (size_t i = 0; i < values.size(); i += 11) values[i] = 0;
  for (size_t i = 0; i < values.size(); i += 13) values[i] = kImpossible;
  const ValueRecord record = ExpectDecoded(EncodeLogProbs(values), values);
  EXPECT_EQ(static_cast<CodeKind>(record.kind), CodeKind::kLogProb);
}

TEST(ValueEncoderTest, LogProbsOfTheWholeRange) {
  std::vector<float> values = RandomLogProbs(3000);
  values[0] = -1e-45f;
  values[1] = -3.4e38f;
  values[2] = kImpossible;
  EXPECT_EQ(ExpectDecoded(EncodeLogProbs(values), values).bits, 31u);
}

TEST(ValueEncoderTest, FewDifferentValuesHaveATable) {
  std::vector<float> values = RandomLogProbs(4000);
  for (size_t i = 20; i < values.size(); ++i) values[i] = values[i % 20];
  const ValueRecord record = ExpectDecoded(EncodeLogProbs(values), values);
  EXPECT_EQ(static_cast<CodeKind>(record.kind), CodeKind::kTable);
  EXPECT_EQ(record.bits, 5u);
  EXPECT_EQ(record.table_size, 20u);
}

// More ids than one cell has bits.
TEST(ValueEncoderTest, AFrequentValueHasNoCode) {
  std::vector<float> values(5000, -0.0f);
  std::mt19937 random(4);
  for (int i = 0; i < 300; ++i) {
    values[random() % values.size()] = 0.25f * static_cast<float>(i % 9) - 1;
  }
  for (size_t i = 0; i < 40; ++i) values[i] = 0.5;
  const EncodedValues encoded = EncodeBackoffs(values);
  const ValueRecord record = ExpectDecoded(encoded, values);
  EXPECT_FALSE(encoded.cells.empty());
  EXPECT_TRUE(SameBits(record.common, -0.0f));
  EXPECT_LT(record.codes, 350u);
}

TEST(ValueEncoderTest, BackoffsThatAllDiffer) {
  std::vector<float> values = RandomLogProbs(500);
  values[7] = 999;
  values[8] = kImpossible;
  values[9] = -0.0f;
  values[10] = 0;
  const ValueRecord record = ExpectDecoded(EncodeBackoffs(values), values);
  EXPECT_EQ(static_cast<CodeKind>(record.kind), CodeKind::kFloat);
}

TEST(ValueEncoderTest, OneValueAndNone) {
  for (size_t size : {0, 1, 2, 1000}) {
    const std::vector<float> values(size, -0.5f);
    for (const EncodedValues& encoded :
         {EncodeLogProbs(values), EncodeBackoffs(values)}) {
      ExpectDecoded(encoded, values);
      EXPECT_LE(encoded.bytes(), 32u);
    }
  }
  const std::vector<float> blanks(100, kBlankLogProb);
  ExpectDecoded(EncodeLogProbs(blanks), blanks);
}

TEST(ValueEncoderTest, EveryCodeOfALogProbIsAtMostZeroOrABlank) {
  std::mt19937 random(5);
  for (int i = 0; i < 100'000; ++i) {
    const float value = LogProbOfCode(random(), random());
    ASSERT_TRUE(value <= 0 || std::isnan(value));
  }
}

double WeightedError(const std::vector<float>& a, const std::vector<float>& b,
                     const std::vector<float>& weights) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double difference = double{a[i]} - b[i];
    sum += weights[i] * difference * difference;
  }
  return sum;
}

// The naive alternative: bins of the same number of values.
std::vector<float> EqualPopulation(const std::vector<float>& values,
                                   size_t bins) {
  std::vector<float> sorted = values;
  std::sort(sorted.begin(), sorted.end());
  std::vector<float> quantized;
  for (float value : values) {
    const size_t place =
        std::lower_bound(sorted.begin(), sorted.end(), value) - sorted.begin();
    const size_t bin = place * bins / sorted.size();
    const size_t begin = (bin * sorted.size() + bins - 1) / bins;
    const size_t end = ((bin + 1) * sorted.size() + bins - 1) / bins;
    double sum = 0;
    for (size_t i = begin; i < end; ++i) sum += sorted[i];
    quantized.push_back(static_cast<float>(sum / (end - begin)));
  }
  return quantized;
}

TEST(ValueQuantizerTest, ErrorIsBelowThatOfEqualPopulations) {
  const std::vector<float> values = RandomLogProbs(2000);
  std::vector<float> weights;
  weights.reserve(values.size());
  for (float value : values) weights.push_back(std::exp(value));
  for (size_t bins : {4, 16, 100}) {
    const std::vector<float> found = QuantizeValues(values, weights, bins);
    std::vector<float> different = found;
    std::sort(different.begin(), different.end());
    different.erase(std::unique(different.begin(), different.end()),
                    different.end());
    EXPECT_LE(different.size(), bins);
    EXPECT_GT(different.size(), bins / 2);
    EXPECT_LT(
        WeightedError(values, found, weights),
        0.8 * WeightedError(values, EqualPopulation(values, bins), weights));
  }
}

TEST(ValueQuantizerTest, FewValuesAndSpecialOnesStay) {
  std::vector<float> values = RandomLogProbs(300);
  values[0] = 0;
  values[1] = -0.0f;
  values[2] = kImpossible;
  values[3] = std::nanf("");
  const std::vector<float> weights(values.size(), 1);
  const std::vector<float> coarse = QuantizeValues(values, weights, 2);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(SameBits(coarse[i], values[i]));
  EXPECT_TRUE(std::isnan(coarse[3]));
  EXPECT_NE(coarse[4], values[4]);
  const std::vector<float> fine = QuantizeValues(values, weights, 296);
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_TRUE(i == 3 || SameBits(fine[i], values[i]));
  }
}

// Weights that are lost in sums with much larger ones do not matter.
TEST(ValueQuantizerTest, TinyWeights) {
  std::vector<float> values = RandomLogProbs(1000), weights;
  for (size_t i = 0; i < values.size(); ++i) {
    weights.push_back(i % 2 == 0 ? 1e-35f : 1e3f);
  }
  for (float value : QuantizeValues(values, weights, 50)) {
    EXPECT_LE(value, 0);
    EXPECT_GT(value, -20);
  }
}

}  // namespace
}  // namespace lmserve
