// SPDX-License-Identifier: Apache-2.0
//
// Compares a model with caches with golden numbers that cache_golden.py
// computed with PyTorch.

#include <cmath>
#include <functional>
#include <iterator>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "models/cache/cache_model.h"
#include "models/neural/network_weights.h"
#include "models/neural/recurrent_model.h"
#include "models/neural/tensor_file.h"

namespace lmserve {
namespace {

constexpr int64_t kVocabulary = 9, kEmbedding = 4, kUnits = 6;

// The text, and ln P of its words.
constexpr WordId kText[] = {3, 4, 5, 2, 3, 4, 6, 2, 0, 3, 4, 5, 2, 2, 7,
                            7, 7, 8, 3, 4, 5, 6, 2, 0, 0, 8, 4, 5, 3, 2};
constexpr double kGolden[] = {
    -2.506791869, -2.652022001, -2.172839346, -3.870656883, -1.972105902,
    -1.266633618, -2.285619039, -2.503205312, -4.020641021, -2.152365709,
    -1.383927217, -2.483676840, -2.735063629, -2.101024467, -2.718933020,
    -1.870099249, -1.081601401, -2.901206162, -2.634849865, -2.801558274,
    -2.193159379, -1.803432442, -3.764954347, -3.798996753, -2.645011328,
    -2.133116553, -2.125359850, -1.267134455, -3.036638435, -2.772453693};

// The weights are the same formula as in cache_golden.py.
std::string Weights() {
  const std::vector<std::pair<std::string, std::vector<int64_t>>> tensors = {
      {"encoder.weight", {kVocabulary, kEmbedding}},
      {"rnn.weight_ih_l0", {4 * kUnits, kEmbedding}},
      {"rnn.weight_hh_l0", {4 * kUnits, kUnits}},
      {"rnn.bias_ih_l0", {4 * kUnits}},
      {"rnn.bias_hh_l0", {4 * kUnits}},
      {"decoder.weight", {kVocabulary, kUnits}},
      {"decoder.bias", {kVocabulary}}};
  TensorFileWriter writer;
  std::vector<std::vector<float>> values(tensors.size());
  for (size_t number = 0; number < tensors.size(); ++number) {
    const auto& [name, shape] = tensors[number];
    values[number].resize(std::accumulate(shape.begin(), shape.end(),
                                          int64_t{1}, std::multiplies<>()));
    for (size_t i = 0; i < values[number].size(); ++i) {
      values[number][i] =
          static_cast<float>(0.8 * std::sin(1 + 3.7 * number + 0.61 * i));
    }
    writer.AddFloats(name, shape, values[number]);
  }
  return writer.Finish();
}

TEST(CacheGoldenTest, EqualsPyTorch) {
  const std::string weights = Weights();
  auto member = RecurrentModel::Create(
      Vocabulary::Create({"<unk>", "<s>", "</s>", "a", "b", "c", "d", "e", "f"})
          .value(),
      weights);
  ASSERT_TRUE(member.ok()) << member.status();
  const auto model =
      CacheModel::Create(*std::move(member),
                         {.history = 8,
                          .caches = {{.kind = CacheKind::kContinuous,
                                      .weight = 0.3,
                                      .theta = 0.7},
                                     {.kind = CacheKind::kNgram,
                                      .weight = 0.1,
                                      .order = 1,
                                      .decay = 0.9},
                                     {.kind = CacheKind::kNgram,
                                      .weight = 0.15,
                                      .order = 2,
                                      .decay = 0.95}}})
          .value();
  std::vector<std::byte> state(model->state_size());
  model->Start(state.data());
  std::vector<float> found(std::size(kText));
  model->Score({{state.data(), kText, nullptr, absl::MakeSpan(found)}});
  ASSERT_EQ(std::size(kGolden), std::size(kText));
  for (size_t t = 0; t < found.size(); ++t) {
    EXPECT_NEAR(found[t], kGolden[t], 1e-5) << t;
  }
}

}  // namespace
}  // namespace lmserve
