// SPDX-License-Identifier: Apache-2.0
//
// The contract of BidirectionalModel: one test suite, run over small networks
// of each kind with random weights.

#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model_store/loaded_version.h"
#include "model_store/publish.h"
#include "models/model_factory.h"
#include "models/neural/network_weights.h"
#include "models/text.h"
#include "tests/testing/neural_models.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using Words = std::vector<WordId>;
using Gap = BidirectionalModel::Gap;

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Case {
  std::string name;
  RecurrentNetworkOptions options;
  Precision precision = Precision::kFloat;
  double tolerance = 1e-5;  // of a log-probability

  friend void PrintTo(const Case& c, std::ostream* out) { *out << c.name; }
};

bool SameBits(absl::Span<const float> a, absl::Span<const float> b) {
  return a.size() == b.size() &&
         std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// Returns sentences of many lengths, some with unknown words.
std::vector<Words> Sentences(const Vocabulary& vocabulary) {
  std::vector<Words> sentences;
  const std::string text = absl::StrCat(DemoText(25, 2), "zebra\nthe\n");
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    Words& sentence = sentences.emplace_back();
    for (absl::string_view word : SplitWords(line)) {
      sentence.push_back(vocabulary.Find(word));
    }
  }
  return sentences;
}

class BidirectionalTest : public testing::TestWithParam<Case> {
 protected:
  const BidirectionalModel& model() const { return *made_.model; }
  const Vocabulary& vocabulary() const { return made_.model->vocabulary(); }

  static std::vector<std::vector<float>> Score(
      const BidirectionalModel& model, absl::Span<const Words> sentences) {
    std::vector<std::vector<float>> log_probs;
    for (const Words& words : sentences) log_probs.emplace_back(words.size());
    std::vector<BidirectionalModel::Sentence> batch;
    for (size_t i = 0; i < sentences.size(); ++i) {
      batch.push_back({sentences[i], absl::MakeSpan(log_probs[i])});
    }
    model.Score(batch);
    return log_probs;
  }

  std::vector<float> Score(const Words& sentence) const {
    return Score(model(), {&sentence, 1})[0];
  }

  std::vector<float> Rate(absl::Span<const Gap> gaps,
                          absl::Span<const WordId> words) const {
    std::vector<float> log_probs(gaps.size() * words.size());
    model().Rate(gaps, words, log_probs.data());
    return log_probs;
  }

  std::vector<ScoredWord> Fill(absl::Span<const Gap> gaps, size_t k) const {
    std::vector<ScoredWord> best(gaps.size() * k);
    model().Fill(gaps, k, absl::MakeSpan(best));
    return best;
  }

  // Returns all gaps of all sentences.
  std::vector<Gap> Gaps() const {
    std::vector<Gap> gaps;
    for (const Words& words : sentences_) {
      for (size_t t = 0; t < words.size(); ++t) {
        gaps.push_back({absl::MakeConstSpan(words).first(t),
                        absl::MakeConstSpan(words).subspan(t + 1)});
      }
    }
    return gaps;
  }

  // Computes ln P(word | gap) with the network for training, which gives </s> a
  // probability, too: normalizes without it.
  double Naive(const NaiveNetwork& network, const Gap& gap, WordId word) const {
    Words text = {vocabulary().begin_sentence()};
    text.insert(text.end(), gap.before.begin(), gap.before.end());
    const size_t step = text.size();
    text.push_back(vocabulary().unknown());
    text.insert(text.end(), gap.after.begin(), gap.after.end());
    text.push_back(vocabulary().end_sentence());
    const double end =
        network.LogProbabilityAt(step, text, vocabulary().end_sentence());
    return network.LogProbabilityAt(step, text, word) -
           std::log1p(-std::exp(end));
  }

  const BidirectionalTestModel made_ = MakeBidirectionalTestModel(
      VocabularyOf(DemoText(400, 1)), GetParam().options, GetParam().precision);
  const std::vector<Words> sentences_ = Sentences(vocabulary());
};

TEST_P(BidirectionalTest, EqualsNaiveReference) {
  const NaiveNetwork network =
      NaiveNetwork::Bidirectional(made_, GetParam().options);
  for (const Words& words : sentences_) {
    const std::vector<float> found = Score(words);
    for (size_t t = 0; t < words.size(); ++t) {
      const Gap gap = {absl::MakeConstSpan(words).first(t),
                       absl::MakeConstSpan(words).subspan(t + 1)};
      ASSERT_NEAR(found[t], Naive(network, gap, words[t]), GetParam().tolerance)
          << t;
    }
  }
}

TEST_P(BidirectionalTest, ABatchEqualsItsSentencesToTheBit) {
  const std::vector<std::vector<float>> found = Score(model(), sentences_);
  for (size_t i = 0; i < sentences_.size(); ++i) {
    ASSERT_TRUE(SameBits(found[i], Score(sentences_[i]))) << i;
  }
}

TEST_P(BidirectionalTest, ABatchOfGapsEqualsSingleGapsToTheBit) {
  const std::vector<Gap> gaps = Gaps();
  const Words words = {vocabulary().unknown(), 5, 3, 5};
  const std::vector<float> rated = Rate(gaps, words);
  const std::vector<ScoredWord> best = Fill(gaps, 7);
  for (size_t i = 0; i < gaps.size(); ++i) {
    ASSERT_TRUE(SameBits(Rate({&gaps[i], 1}, words),
                         absl::MakeConstSpan(rated).subspan(i * 4, 4)));
    ASSERT_EQ(Fill({&gaps[i], 1}, 7),
              std::vector<ScoredWord>(&best[i * 7], &best[i * 7] + 7));
  }
}

TEST_P(BidirectionalTest, ScoreRateAndFillAgreeToTheBit) {
  for (const Words& words : sentences_) {
    const std::vector<float> found = Score(words);
    for (size_t t = 0; t < words.size(); ++t) {
      const Gap gap = {absl::MakeConstSpan(words).first(t),
                       absl::MakeConstSpan(words).subspan(t + 1)};
      ASSERT_EQ(Rate({&gap, 1}, {&words[t], 1})[0], found[t]);
      for (const ScoredWord& word : Fill({&gap, 1}, vocabulary().size())) {
        if (word.word != words[t]) continue;
        ASSERT_EQ(word.log_prob, found[t]);
      }
    }
  }
}

// The probability of a word does not depend on the word at its own position.
TEST_P(BidirectionalTest, NoWordSeesItself) {
  Words words = sentences_[0];
  const size_t t = words.size() / 2;
  const Gap gap = {absl::MakeConstSpan(words).first(t),
                   absl::MakeConstSpan(words).subspan(t + 1)};
  Words all(vocabulary().size());
  for (WordId w = 0; w < all.size(); ++w) all[w] = w;
  const std::vector<float> rated = Rate({&gap, 1}, all);
  for (WordId w = 0; w < all.size(); w += 13) {
    words[t] = w;
    ASSERT_EQ(Score(words)[t], rated[w]) << w;
  }
}

TEST_P(BidirectionalTest, BothSidesMatter) {
  const Words& words = sentences_[0];
  const std::vector<float> before = Score(words);
  for (size_t changed : {size_t{0}, words.size() - 1}) {
    Words other = words;
    other[changed] = other[changed] == 4 ? 5 : 4;
    const std::vector<float> after = Score(other);
    for (size_t t = 0; t < words.size(); ++t) {
      if (t == changed) continue;
      EXPECT_NE(after[t], before[t]) << t << " of change " << changed;
    }
  }
}

TEST_P(BidirectionalTest, FillsWithADistributionInOrder) {
  const Words& words = sentences_[1];
  const Gap gaps[] = {{words, {}}, {{}, words}, {words, words}, {{}, {}}};
  const size_t size = vocabulary().size();
  const std::vector<ScoredWord> all = Fill(gaps, size);
  for (size_t i = 0; i < 4; ++i) {
    const auto row = absl::MakeConstSpan(all).subspan(i * size, size);
    double sum = 0;
    for (size_t j = 0; j < size; ++j) {
      sum += std::exp(double{row[j].log_prob});
      ASSERT_TRUE(j == 0 || Likelier(row[j - 1], row[j]));
    }
    EXPECT_NEAR(sum, 1, 1e-5);
    EXPECT_THAT(std::vector<ScoredWord>(row.end() - 2, row.end()),
                testing::UnorderedElementsAre(
                    ScoredWord{vocabulary().begin_sentence(), -kInfinity},
                    ScoredWord{vocabulary().end_sentence(), -kInfinity}));
    EXPECT_GT(row[size - 3].log_prob, -kInfinity);
  }
}

TEST_P(BidirectionalTest, MarkersNeverFillAGap) {
  const WordId markers[] = {vocabulary().begin_sentence(),
                            vocabulary().end_sentence()};
  for (float log_prob : Rate(Gaps(), markers)) {
    ASSERT_EQ(log_prob, -kInfinity);
  }
}

TEST_P(BidirectionalTest, EmptyBatches) {
  EXPECT_TRUE(Score(Words()).empty());
  EXPECT_TRUE(Score(model(), {}).empty());
  EXPECT_TRUE(Rate({}, {}).empty());
  EXPECT_TRUE(Fill({}, 1).empty());
}

// More words than the model processes at once, in one sentence and in many.
TEST_P(BidirectionalTest, LongTexts) {
  Words words;
  while (words.size() < 3000) {
    words.insert(words.end(), sentences_[0].begin(), sentences_[0].end());
  }
  const Gap gaps[] = {{absl::MakeConstSpan(words).first(10), words},
                      {words, absl::MakeConstSpan(words).first(10)}};
  EXPECT_TRUE(SameBits(Rate(gaps, {&words[10], 1}),
                       {Rate({&gaps[0], 1}, {&words[10], 1})[0],
                        Rate({&gaps[1], 1}, {&words[10], 1})[0]}));
  const std::vector<Words> many(500, sentences_[2]);
  const std::vector<float> one = Score(sentences_[2]);
  for (const std::vector<float>& found : Score(model(), many)) {
    ASSERT_TRUE(SameBits(found, one));
  }
}

TEST_P(BidirectionalTest, SaveLoadScoreGivesTheSameBits) {
  const TemporaryDirectory store;
  NewVersion version;
  version.family = std::string(kBidirectionalFamily);
  version.files = made_.Files();
  version.self_test = {"the cat is small .", "", "zebra"};
  ASSERT_EQ(Publish(store.path(), "m", version).value(), 1u);
  const ModelHandle loaded = LoadModel(store.path(), "m", 1).value();
  ASSERT_EQ(loaded->model().kind(), ModelKind::kBidirectional);
  const auto expected = Score(model(), sentences_);
  const auto found = Score(*loaded->model().bidirectional(), sentences_);
  for (size_t i = 0; i < sentences_.size(); ++i) {
    ASSERT_TRUE(SameBits(found[i], expected[i]));
  }
}

TEST_P(BidirectionalTest, EightThreadsOneModel) {
  const std::vector<std::vector<float>> expected = Score(model(), sentences_);
  std::vector<std::vector<std::vector<float>>> found(8);
  std::vector<std::thread> threads;
  threads.reserve(found.size());
  for (auto& mine : found) {
    threads.emplace_back([&] { mine = Score(model(), sentences_); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& mine : found) {
    for (size_t i = 0; i < expected.size(); ++i) {
      ASSERT_TRUE(SameBits(mine[i], expected[i]));
    }
  }
}

Case MakeCase(const std::string& name, Cell cell, size_t layers,
              Precision precision = Precision::kFloat) {
  Case c;
  c.name = absl::StrCat(name, "_", layers, "_", PrecisionName(precision));
  c.options.stack.cell = cell;
  c.options.stack.layers = layers;
  c.options.stack.units = 7;
  c.options.embedding = 6;
  c.precision = precision;
  return c;
}

// For bf16 and int8, the tolerance is larger: the reference has the rounded
// weights, but the model may round their inputs, too (linear.h).
std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (size_t layers : {1, 2, 3}) {
    cases.push_back(MakeCase("lstm", Cell::kLstm, layers));
    cases.push_back(MakeCase("gru", Cell::kGru, layers));
    cases.push_back(MakeCase("rnn", Cell::kRnn, layers));
  }
  cases.push_back(MakeCase("relu", Cell::kRnn, 2));
  cases.back().options.stack.activation = Activation::kRelu;
  cases.push_back(MakeCase("tied", Cell::kLstm, 2));
  cases.back().options.tied = true;
  cases.back().options.embedding = 14;
  cases.push_back(MakeCase("adaptive", Cell::kGru, 2));
  cases.back().options.cutoffs = {8, 40};
  cases.push_back(MakeCase("lstm", Cell::kLstm, 2, Precision::kBf16));
  cases.back().tolerance = 0.02;
  cases.push_back(MakeCase("lstm", Cell::kLstm, 2, Precision::kInt8));
  cases.back().tolerance = 0.05;
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Models, BidirectionalTest, testing::ValuesIn(Cases()),
                         [](const testing::TestParamInfo<Case>& info) {
                           return info.param.name;
                         });

// Files of left-to-right networks, and broken files.
class BidirectionalFilesTest : public testing::Test {
 protected:
  static RecurrentNetworkOptions Options() {
    return MakeCase("", Cell::kLstm, 1).options;
  }

  static std::string Error(absl::string_view family, const ModelFiles& files) {
    return CreateModel(family, files).status().ToString();
  }

  const std::string words_ = VocabularyOf("the cat is small .");
};

TEST_F(BidirectionalFilesTest, EachFamilyRefusesTheOther) {
  const BidirectionalTestModel both =
      MakeBidirectionalTestModel(words_, Options(), Precision::kFloat);
  const TestModel left =
      RecurrentTestModel(words_, Options(), Precision::kFloat);
  EXPECT_EQ(Error(kBidirectionalFamily, both.Files()), "OK");
  EXPECT_EQ(Error(kRecurrentFamily, left.Files()), "OK");
  EXPECT_EQ(Error(kRecurrentFamily, both.Files()),
            "INVALID_ARGUMENT: expected a left-to-right network, found a "
            "bidirectional one");
  EXPECT_EQ(Error(kBidirectionalFamily, left.Files()),
            "INVALID_ARGUMENT: expected a bidirectional network, found a "
            "left-to-right one");
}

TEST_F(BidirectionalFilesTest, AMissingDirectionIsNamed) {
  BidirectionalTestModel both =
      MakeBidirectionalTestModel(words_, Options(), Precision::kFloat);
  std::string& weights = both.files.at(std::string(kWeightsFile));
  const TensorFile file = TensorFile::Parse(weights).value();
  TensorFileWriter writer;
  for (const auto& [name, tensor] : file.tensors()) {
    if (name != "rnn.bias_hh_l0_reverse") writer.Add(name, tensor);
  }
  weights = writer.Finish();
  EXPECT_THAT(Error(kBidirectionalFamily, both.Files()),
              testing::HasSubstr("tensor 'rnn.bias_hh_l0_reverse': expected"));
}

// A class that has only <s> and </s>, which are never predicted, is refused.
TEST_F(BidirectionalFilesTest, ClassesNeedAWord) {
  const Vocabulary vocabulary = Vocabulary::Parse(words_).value();
  const WordId begin = vocabulary.begin_sentence();
  ASSERT_EQ(vocabulary.end_sentence(), begin + 1);
  EXPECT_EQ(ParseCutoffs(absl::StrCat(begin, ",", begin + 2), vocabulary,
                         NeverPredicted(vocabulary, true))
                .status()
                .message(),
            absl::StrCat("cutoffs: expected a word other than <s> and </s> in "
                         "every class, found none among the ids from ",
                         begin, " to ", begin + 1));
  EXPECT_TRUE(ParseCutoffs(absl::StrCat(begin, ",", begin + 2), vocabulary,
                           NeverPredicted(vocabulary, false))
                  .ok());
}

}  // namespace
}  // namespace lmserve
