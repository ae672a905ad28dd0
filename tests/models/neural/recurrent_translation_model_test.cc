// SPDX-License-Identifier: Apache-2.0
//
// Tests of the attention of a translation model on its source.

#include "models/neural/recurrent_translation_model.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/model_factory.h"
#include "models/neural/tensor_file.h"
#include "tests/testing/neural_models.h"

namespace lmserve {
namespace {

using testing::FloatNear;
using testing::Pointwise;

using State = std::vector<std::byte>;
using Words = std::vector<WordId>;

TranslationNetworkOptions Options(Cell cell, bool bidirectional) {
  TranslationNetworkOptions options;
  options.embedding = 3;
  options.units = 4;
  options.cell = cell;
  options.bidirectional = bidirectional;
  options.attention = true;
  return options;
}

// A model and the memory of its files.
class Translator {
 public:
  explicit Translator(const TranslationNetworkOptions& options)
      : made_(TranslationTestModel(VocabularyOf("a b c d"),
                                   VocabularyOf("x y z"), options,
                                   Precision::kFloat)),
        model_(CreateModel(made_.family, made_.Files()).value()) {}

  const TranslationModel& model() const { return *model_.translation(); }
  const LanguageModel& decoder() const { return model().decoder(); }

  std::vector<float> Tensor(absl::string_view name) const {
    const TensorFile file =
        TensorFile::Parse(made_.files.at(std::string(kWeightsFile))).value();
    const TensorView& view = *file.Find(name);
    std::vector<float> numbers(view.size());
    CopyFloats(view, absl::MakeSpan(numbers));
    return numbers;
  }

  State After(const TranslationModel::Source& source,
              const Words& words) const {
    State state(decoder().state_size());
    source.Start(state.data());
    const LanguageModel::Query query = {state.data(), words, state.data(), {}};
    if (!words.empty()) decoder().Score({&query, 1});
    return state;
  }

  std::vector<float> Attention(const State& state, size_t source_words) const {
    std::vector<float> weights(source_words + 1);
    const TranslationModel::AttentionQuery query = {state.data(),
                                                    absl::MakeSpan(weights)};
    model().Attend({&query, 1});
    return weights;
  }

 private:
  const TestModel made_;
  const AnyModel model_;
};

// Returns A x.
std::vector<double> Times(const std::vector<float>& a,
                          const std::vector<double>& x) {
  std::vector<double> y(a.size() / x.size());
  for (size_t r = 0; r < y.size(); ++r) {
    y[r] =
        std::inner_product(x.begin(), x.end(), a.begin() + r * x.size(), 0.0);
  }
  return y;
}

// Computes the keys W_a s_j of the states of a plain RNN encoder from its
// weights.
std::vector<std::vector<double>> Keys(const Translator& translator,
                                      Words source) {
  const auto layer = [&](absl::string_view name) {
    return translator.Tensor(
        absl::StrCat(kSourcePrefix, LayerTensor(name, 0, false)));
  };
  const std::vector<float> embedding =
      translator.Tensor(kSourceEmbeddingTensor);
  const std::vector<float> bias_ih = layer("bias_ih"),
                           bias_hh = layer("bias_hh");
  source.push_back(translator.model().source_vocabulary().end_sentence());
  std::vector<double> h(4);
  std::vector<std::vector<double>> keys;
  for (WordId word : source) {
    const auto row = embedding.begin() + size_t{word} * 3;
    const std::vector<double> input =
        Times(layer("weight_ih"), std::vector<double>(row, row + 3));
    const std::vector<double> recurrent = Times(layer("weight_hh"), h);
    for (size_t i = 0; i < h.size(); ++i) {
      h[i] = std::tanh(input[i] + bias_ih[i] + recurrent[i] + bias_hh[i]);
    }
    keys.push_back(Times(translator.Tensor(kAttentionKeyTensor), h));
  }
  return keys;
}

TEST(AttendTest, IsTheSoftmaxOfProducts) {
  const Translator translator(Options(Cell::kRnn, false));
  for (const Words& source : {Words{}, Words{3, 5, 4, 3}}) {
    const auto keys = Keys(translator, source);
    const auto read = translator.model().Read(source);
    for (const Words& words : {Words{}, Words{3}, Words{5, 4, 3}}) {
      const State state = translator.After(*read, words);
      // In a state, h follows a pointer to the source.
      float h[4];
      ASSERT_EQ(state.size(), sizeof(void*) + sizeof(h));
      std::memcpy(h, state.data() + sizeof(void*), sizeof(h));
      std::vector<float> expected;
      expected.reserve(keys.size());
      for (const std::vector<double>& key : keys) {
        expected.push_back(static_cast<float>(
            std::exp(std::inner_product(key.begin(), key.end(), h, 0.0))));
      }
      const float sum = std::accumulate(expected.begin(), expected.end(), 0.0f);
      for (float& weight : expected) weight /= sum;
      EXPECT_THAT(translator.Attention(state, source.size()),
                  Pointwise(FloatNear(1e-5f), expected));
    }
  }
}

TEST(AttendTest, AddsUpToOneAndDiffersBetweenStates) {
  for (bool bidirectional : {false, true}) {
    const Translator translator(Options(Cell::kLstm, bidirectional));
    const auto read = translator.model().Read({3, 4, 5});
    const auto first = translator.Attention(translator.After(*read, {}), 3);
    const auto second = translator.Attention(translator.After(*read, {4}), 3);
    for (const auto& weights : {first, second}) {
      EXPECT_NEAR(std::accumulate(weights.begin(), weights.end(), 0.0), 1,
                  1e-6);
    }
    EXPECT_NE(first, second);
  }
}

// The states of the batch have sources of different lengths.
TEST(AttendTest, ABatchEqualsSingleQueries) {
  const Translator translator(Options(Cell::kGru, true));
  std::vector<std::unique_ptr<const TranslationModel::Source>> sources;
  std::vector<State> states;
  std::vector<std::vector<float>> alone, together;
  for (size_t i = 0; i < 40; ++i) {
    const Words source(i % 7, static_cast<WordId>(i % 5));
    sources.push_back(translator.model().Read(source));
    states.push_back(translator.After(*sources.back(), Words(i % 3, 4)));
    alone.push_back(translator.Attention(states.back(), source.size()));
    together.emplace_back(source.size() + 1);
  }
  std::vector<TranslationModel::AttentionQuery> batch;
  for (size_t i = 0; i < states.size(); ++i) {
    batch.push_back({states[i].data(), absl::MakeSpan(together[i])});
  }
  translator.model().Attend(batch);
  EXPECT_EQ(together, alone);
}

// The weights are in the order of the words in the source, even if the encoder
// reads them in reverse order.
TEST(AttendTest, WeightsOfAReversedSourceAreInOrder) {
  TranslationNetworkOptions options = Options(Cell::kLstm, false);
  const Translator plain(options);
  options.reverse_source = true;
  const Translator reversed(options);
  ASSERT_EQ(plain.Tensor(kAttentionKeyTensor),
            reversed.Tensor(kAttentionKeyTensor));
  const auto plain_read = plain.model().Read({5, 4, 3});
  const auto reversed_read = reversed.model().Read({3, 4, 5});
  std::vector<float> expected =
      plain.Attention(plain.After(*plain_read, {4}), 3);
  std::reverse(expected.begin(), expected.end() - 1);
  EXPECT_EQ(reversed.Attention(reversed.After(*reversed_read, {4}), 3),
            expected);
}

TEST(AttendTest, AttentionIsOptional) {
  TranslationNetworkOptions options = Options(Cell::kLstm, false);
  EXPECT_TRUE(Translator(options).model().has_attention());
  options.attention = false;
  EXPECT_FALSE(Translator(options).model().has_attention());
}

}  // namespace
}  // namespace lmserve
