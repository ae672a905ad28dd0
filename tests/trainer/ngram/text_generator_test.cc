// SPDX-License-Identifier: Apache-2.0
#include "trainer/ngram/text_generator.h"

#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/ngram/fast/ngram_builder.h"
#include "models/ngram/fast/ngram_model.h"
#include "tests/trainer/neural/training.h"
#include "trainer/ngram/estimate.h"

namespace lmserve {
namespace {

// A trigram model of a short text.
class TextGeneratorTest : public testing::Test {
 protected:
  void Train(const std::string& method) {
    std::string text;
    for (int i = 0; i < 300; ++i) {
      absl::StrAppend(&text, "w", i * i % 7, " w", i % 5, " w", i * 7 % 11,
                      i % 3 == 0 ? " <unk>" : "", "\n");
    }
    Corpus corpus = CorpusOf(text);
    EstimateOptions options;
    options.smoothing.method = method;
    const auto estimate = EstimateModel(CountNgrams(corpus, 3, 1), options);
    bytes_ = BuildNgramFile(estimate->table).value();
    model_ = NgramModel::Create(std::move(corpus.vocabulary), bytes_).value();
  }

  std::string bytes_;
  std::unique_ptr<NgramModel> model_;
};

TEST_F(TextGeneratorTest, WritesSentencesOfTheSeedAndTheBlock) {
  Train("modified-kneser-ney");
  const auto generator = TextGenerator::Create(*model_, 0).value();
  std::string text, again, other_block, other_seed;
  const uint64_t words = generator->Generate(7, 2, 1000, &text);
  EXPECT_GE(words, 1000u);
  EXPECT_LT(words, 1100u);
  std::vector<std::string> found =
      absl::StrSplit(text, absl::ByAnyChar(" \n"), absl::SkipEmpty());
  EXPECT_EQ(found.size(), words);
  for (const std::string& word : found) {
    EXPECT_TRUE(model_->vocabulary().Contains(word));
    EXPECT_NE(word, "<unk>");
    EXPECT_NE(word, "<s>");
  }
  EXPECT_EQ(text.back(), '\n');
  EXPECT_EQ(text.find("\n\n"), text.npos);
  generator->Generate(7, 2, 1000, &again);
  EXPECT_EQ(again, text);
  generator->Generate(7, 3, 1000, &other_block);
  EXPECT_NE(other_block, text);
  generator->Generate(8, 2, 1000, &other_seed);
  EXPECT_NE(other_seed, text);
}

TEST_F(TextGeneratorTest, RareWordsStandForUnknownOnes) {
  Train("modified-kneser-ney");
  const auto generator = TextGenerator::Create(*model_, 1000).value();
  std::string text;
  const uint64_t words = generator->Generate(1, 0, 100000, &text);
  std::map<std::string, int> rare;
  int count = 0;
  for (const auto& word :
       absl::StrSplit(text, absl::ByAnyChar(" \n"), absl::SkipEmpty())) {
    if (word.substr(0, 4) != "rare") continue;
    ++rare[std::string(word)];
    ++count;
  }
  // About a tenth of the words: 100 of 900.
  EXPECT_NEAR(count, words * 0.1, words * 0.02);
  EXPECT_GT(rare.size(), 400u);
  EXPECT_LE(rare.size(), 1000u);
  EXPECT_GT(rare["rare1"], rare["rare5"]);
}

// The relative frequencies of the words after each context are the
// probabilities of the model, within five standard deviations.
TEST_F(TextGeneratorTest, WordsHaveTheirProbabilities) {
  Train("modified-kneser-ney");
  const auto generator = TextGenerator::Create(*model_, 1).value();
  std::string text;
  generator->Generate(3, 1, 400000, &text);
  const Vocabulary& vocabulary = model_->vocabulary();
  std::map<std::vector<WordId>, std::map<WordId, int>> counts;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    std::vector<WordId> words = {vocabulary.begin_sentence()};
    for (absl::string_view word : absl::StrSplit(line, ' ')) {
      words.push_back(vocabulary.Find(word));  // rare1 is <unk>
    }
    words.push_back(vocabulary.end_sentence());
    for (size_t i = 2; i < words.size(); ++i) {
      ++counts[{words[i - 2], words[i - 1]}][words[i]];
    }
  }
  int compared = 0;
  for (const auto& [context, words] : counts) {
    double total = 0;
    for (const auto& [word, count] : words) total += count;
    if (total < 1000) continue;
    std::vector<std::byte> state(model_->state_size());
    model_->Start(state.data());
    if (context[0] != vocabulary.begin_sentence()) {
      model_->ScoreWord(state.data(), context[0]);
    }
    model_->ScoreWord(state.data(), context[1]);
    std::vector<float> log_probs(vocabulary.size());
    const std::byte* const pointer = state.data();
    model_->Distribution({&pointer, 1}, log_probs.data());
    for (WordId word = 0; word < vocabulary.size(); ++word) {
      const double p = std::exp(log_probs[word]);
      const auto found = words.find(word);
      const double count = found == words.end() ? 0 : found->second;
      EXPECT_NEAR(count / total, p, 5 * std::sqrt(p * (1 - p) / total) + 1e-9)
          << context[0] << " " << context[1] << " " << word;
      ++compared;
    }
  }
  EXPECT_GT(compared, 200);
}

TEST_F(TextGeneratorTest, OtherRulesAreRefused) {
  Train("additive");
  EXPECT_FALSE(TextGenerator::Create(*model_, 0).ok());
  Train("stupid-back-off");
  EXPECT_FALSE(TextGenerator::Create(*model_, 0).ok());
}

}  // namespace
}  // namespace lmserve
