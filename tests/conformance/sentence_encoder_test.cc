// SPDX-License-Identifier: Apache-2.0
//
// The contract of SentenceEncoder: one test suite, run over small networks of
// each family that has one. The states that are pooled are those that the model
// shows to an InspectableModel::Observer.

#include <algorithm>
#include <cstring>
#include <map>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "models/model_factory.h"
#include "models/neural/pooling.h"
#include "tests/testing/neural_models.h"
#include "tests/testing/ngram_models.h"

namespace lmserve {
namespace {

using Sentence = std::vector<WordId>;

struct EncoderCase {
  std::string name;
  absl::string_view family;
  std::map<std::string, std::string> files;

  friend void PrintTo(const EncoderCase& c, std::ostream* out) {
    *out << c.name;
  }
};

// Keeps the hidden states of all layers.
class StateObserver final : public InspectableModel::Observer {
 public:
  void OnStep(size_t layer, size_t position,
              const CellValues& values) override {
    const auto h = values[Quantity::kHidden];
    states[{layer, position}] = {h.begin(), h.end()};
  }
  void OnAttention(size_t, absl::Span<const float>) override {}

  std::map<std::pair<size_t, size_t>, std::vector<float>> states;
};

class SentenceEncoderTest : public testing::TestWithParam<EncoderCase> {
 protected:
  const SentenceEncoder& encoder() const { return *model_.sentence_encoder(); }

  std::vector<std::vector<float>> Encode(absl::Span<const Sentence> sentences,
                                         Pooling pooling) const {
    std::vector<std::vector<float>> vectors(
        sentences.size(), std::vector<float>(encoder().dimensions()));
    std::vector<SentenceEncoder::Sentence> batch;
    for (size_t i = 0; i < sentences.size(); ++i) {
      batch.push_back({sentences[i], absl::MakeSpan(vectors[i])});
    }
    encoder().Encode(batch, pooling);
    return vectors;
  }

  // Pools the states that an observer sees, one unit after the other.
  std::vector<float> PoolNaively(const Sentence& words, Pooling pooling) const {
    const InspectableModel& inspectable = *model_.inspectable();
    const bool translates = model_.kind() == ModelKind::kTranslation;
    const InspectableModel::Text text = {
        translates ? absl::Span<const WordId>() : words,
        translates ? words : absl::Span<const WordId>()};
    StateObserver observer;
    const auto reading = inspectable.Read(text, 1'000);
    while (reading->next_words() > 0) reading->ReadPart(&observer);
    const std::vector<InspectableModel::Layer> layers = inspectable.layers();
    size_t depth = 0;
    for (const auto& layer : layers) {
      if (layer.reads_source == translates)
        depth = std::max(depth, layer.depth);
    }
    std::vector<float> vector;
    for (size_t i = 0; i < layers.size(); ++i) {
      const InspectableModel::Layer& layer = layers[i];
      if (layer.reads_source != translates || layer.depth != depth) continue;
      std::vector<size_t> positions;
      for (size_t p = 0; p < text.positions(layer); ++p) {
        if (p > 0 || !layer.reads_begin || text.positions(layer) == 1) {
          positions.push_back(p);
        }
      }
      for (size_t k = 0; k < layer.units; ++k) {
        std::vector<float> values;
        for (size_t p : positions) {
          values.push_back(observer.states.at({i, p})[k]);
        }
        float pooled = layer.is_backward ? values.front() : values.back();
        if (pooling == Pooling::kMax) {
          pooled = *std::max_element(values.begin(), values.end());
        } else if (pooling == Pooling::kMean) {
          pooled = 0;
          for (float value : values) pooled += value;
          pooled /= static_cast<float>(values.size());
        }
        vector.push_back(pooled);
      }
    }
    return vector;
  }

  // Sentences of several lengths.
  std::vector<Sentence> Sentences() const {
    const WordId size = encoder().sentence_vocabulary().size();
    std::vector<Sentence> sentences;
    for (size_t length : {0, 1, 2, 2, 5, 9, 9, 30}) {
      Sentence& sentence = sentences.emplace_back();
      for (size_t t = 0; t < length; ++t) {
        sentence.push_back(
            static_cast<WordId>((7 * t + 3 * sentences.size()) % size));
      }
    }
    return sentences;
  }

  const AnyModel model_ =
      CreateModel(GetParam().family,
                  ModelFiles(GetParam().files.begin(), GetParam().files.end()))
          .value();
};

constexpr Pooling kPoolings[] = {Pooling::kMax, Pooling::kMean, Pooling::kLast};

TEST_P(SentenceEncoderTest, PoolsTheStatesThatTheModelShows) {
  if (model_.inspectable() == nullptr) {
    GTEST_SKIP() << "the states of this family cannot be inspected";
  }
  for (const Sentence& words : Sentences()) {
    for (Pooling pooling : kPoolings) {
      const std::vector<float> found = Encode({&words, 1}, pooling)[0];
      const std::vector<float> expected = PoolNaively(words, pooling);
      ASSERT_EQ(found.size(), expected.size());
      for (size_t k = 0; k < found.size(); ++k) {
        // The order of a sum is that in which the layer reads.
        ASSERT_NEAR(found[k], expected[k], pooling == Pooling::kMean ? 1e-6 : 0)
            << PoolingName(pooling) << " of " << words.size() << " words, unit "
            << k;
      }
    }
  }
}

TEST_P(SentenceEncoderTest, ABatchEqualsItsSentencesToTheBit) {
  const std::vector<Sentence> sentences = Sentences();
  for (Pooling pooling : kPoolings) {
    const std::vector<std::vector<float>> found = Encode(sentences, pooling);
    for (size_t i = 0; i < sentences.size(); ++i) {
      const std::vector<float> alone = Encode({&sentences[i], 1}, pooling)[0];
      ASSERT_EQ(std::memcmp(found[i].data(), alone.data(),
                            alone.size() * sizeof(float)),
                0)
          << i;
    }
  }
}

TEST_P(SentenceEncoderTest, PoolingMatters) {
  const std::vector<Sentence> sentences = Sentences();
  const Sentence& words = sentences.back();
  const auto max = Encode({&words, 1}, Pooling::kMax)[0];
  const auto mean = Encode({&words, 1}, Pooling::kMean)[0];
  const auto last = Encode({&words, 1}, Pooling::kLast)[0];
  for (size_t k = 0; k < max.size(); ++k) {
    ASSERT_GE(max[k], mean[k]);
    ASSERT_GE(max[k], last[k]);
  }
  EXPECT_NE(mean, last);
  EXPECT_NE(mean, max);
}

TEST_P(SentenceEncoderTest, EmptyBatches) {
  EXPECT_TRUE(Encode({}, Pooling::kMax).empty());
}

template <typename Options>
Options SmallOptions() {
  Options options;
  options.embedding = 6;
  options.stack.units = 5;
  options.stack.layers = 2;
  options.stack.bidirectional = true;
  return options;
}

EncoderCase TranslationCase(const std::string& name,
                            const std::string& vocabulary, bool bidirectional,
                            bool reverse) {
  TranslationNetworkOptions options;
  options.embedding = 6;
  options.units = 5;
  options.layers = 2;
  options.bidirectional = bidirectional;
  options.reverse_source = reverse;
  return {
      name, kTranslationFamily,
      TranslationTestModel(vocabulary, vocabulary, options, Precision::kFloat)
          .files};
}

std::vector<EncoderCase> EncoderCases() {
  const std::string vocabulary = VocabularyOf(DemoText(100, 1));
  std::vector<EncoderCase> cases;
  for (Cell cell : {Cell::kLstm, Cell::kGru}) {
    auto options = SmallOptions<RecurrentNetworkOptions>();
    options.stack.cell = cell;
    options.stack.bidirectional = false;
    const std::string suffix = cell == Cell::kLstm ? "_lstm" : "_gru";
    cases.push_back(
        {"recurrent" + suffix, kRecurrentFamily,
         RecurrentTestModel(vocabulary, options, Precision::kFloat).files});
    cases.push_back(
        {"bidirectional" + suffix, kBidirectionalFamily,
         MakeBidirectionalTestModel(vocabulary, options, Precision::kFloat)
             .files});
  }
  cases.push_back(TranslationCase("translation", vocabulary, false, false));
  cases.push_back(
      TranslationCase("translation_bidirectional", vocabulary, true, false));
  cases.push_back(
      TranslationCase("translation_reversed", vocabulary, false, true));
  auto tagger = SmallOptions<TaggerNetworkOptions>();
  tagger.character_embedding = 3;
  tagger.character_units = 4;
  cases.push_back(
      {"tagger", kTaggerFamily,
       TaggerTestModel(vocabulary, {"a", "b"}, tagger, Precision::kFloat)
           .files});
  cases.push_back({"classifier", kClassifierFamily,
                   ClassifierTestModel(vocabulary, {"a", "b"},
                                       SmallOptions<ClassifierNetworkOptions>(),
                                       Precision::kFloat)
                       .files});
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Encoders, SentenceEncoderTest,
                         testing::ValuesIn(EncoderCases()),
                         [](const auto& info) { return info.param.name; });

// Families without recurrent layers have no sentence vectors.
TEST(SentenceEncoderFamiliesTest, OthersHaveNone) {
  const BuiltNgramModel ngram = BuildFromArpa(TinyArpa());
  EXPECT_EQ(ngram.model->sentence_encoder(), nullptr);
  WindowNetworkOptions options;
  options.embedding = 3;
  options.hidden = 4;
  const TestModel window =
      WindowTestModel(VocabularyOf("a b c"), options, Precision::kFloat);
  EXPECT_EQ(window.model->sentence_encoder(), nullptr);
}

}  // namespace
}  // namespace lmserve
