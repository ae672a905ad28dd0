#include "models/beam_search.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/neural_models.h"

namespace lmserve {
namespace {

using Hypothesis = BeamSearch::Hypothesis;

std::vector<Hypothesis> Search(const LanguageModel& model,
                               const BeamSearchOptions& options, size_t count) {
  std::vector<std::byte> start(model.state_size());
  model.Start(start.data());
  BeamSearch search(model, options, start.data());
  while (!search.done()) {
    const BeamSearch::Step step = search.Next();
    model.Score(step.moves);
    std::vector<ScoredWord> best(step.states.size() * step.k);
    model.TopK(step.states, step.k, absl::MakeSpan(best));
    search.Take(best);
  }
  return search.Best(count);
}

// ln P of each of the words, from the start.
std::vector<float> ScoreWords(const LanguageModel& model,
                              const std::vector<WordId>& words) {
  std::vector<std::byte> start(model.state_size());
  model.Start(start.data());
  std::vector<float> log_probs(words.size());
  const LanguageModel::Query query = {start.data(), words, nullptr,
                                      absl::MakeSpan(log_probs)};
  model.Score({&query, 1});
  return log_probs;
}

class BeamSearchTest : public testing::Test {
 protected:
  static TestModel Make() {
    TranslationNetworkOptions options;
    options.embedding = 6;
    options.units = 5;
    options.bidirectional = true;
    options.attention = true;
    return TranslationTestModel(VocabularyOf("a b c d"), VocabularyOf("x y z"),
                                options, Precision::kFloat);
  }

  const LanguageModel& model() const { return *made_.model; }

  // All texts of at most so many words, likelier ones first by their score.
  std::vector<Hypothesis> Enumerate(const BeamSearchOptions& options) const {
    std::vector<Hypothesis> all;
    const Vocabulary& vocabulary = model().vocabulary();
    std::vector<WordId> words;
    const std::function<void()> visit = [&] {
      if (words.size() < options.max_words) {
        std::vector<WordId> text = words;
        text.push_back(vocabulary.end_sentence());
        Hypothesis found;
        found.words = words;
        found.log_probs = ScoreWords(model(), text);
        for (float log_prob : found.log_probs) found.log_prob += log_prob;
        found.score = found.log_prob /
                      std::pow(found.log_probs.size(), options.length_alpha);
        all.push_back(found);
        for (WordId word = 0; word < vocabulary.size(); ++word) {
          if (word == vocabulary.begin_sentence() ||
              word == vocabulary.end_sentence() ||
              (word == vocabulary.unknown() && !options.allow_unknown)) {
            continue;
          }
          words.push_back(word);
          visit();
          words.pop_back();
        }
      }
    };
    visit();
    std::stable_sort(all.begin(), all.end(),
                     [](const Hypothesis& a, const Hypothesis& b) {
                       return a.score > b.score;
                     });
    return all;
  }

  const TestModel made_ = Make();
};

TEST_F(BeamSearchTest, AsWideAsThereAreTextsFindsTheBestOfAll) {
  for (double alpha : {0.0, 0.6, 1.0}) {
    for (bool allow_unknown : {false, true}) {
      BeamSearchOptions options;
      options.beam = 2000;
      options.max_words = 4;
      options.length_alpha = alpha;
      options.allow_unknown = allow_unknown;
      const std::vector<Hypothesis> expected = Enumerate(options);
      const std::vector<Hypothesis> found =
          Search(model(), options, expected.size());
      ASSERT_EQ(found.size(), expected.size());
      for (size_t i = 0; i < found.size(); ++i) {
        EXPECT_TRUE(found[i].ended);
        EXPECT_NEAR(found[i].score, expected[i].score, 1e-5);
      }
      EXPECT_EQ(found[0].words, expected[0].words);
    }
  }
}

TEST_F(BeamSearchTest, ScoresAreThoseOfScore) {
  BeamSearchOptions options;
  options.max_words = 12;
  const std::vector<Hypothesis> found = Search(model(), options, 5);
  ASSERT_FALSE(found.empty());
  for (const Hypothesis& hypothesis : found) {
    std::vector<WordId> words = hypothesis.words;
    if (hypothesis.ended) words.push_back(model().vocabulary().end_sentence());
    const std::vector<float> expected = ScoreWords(model(), words);
    ASSERT_EQ(hypothesis.log_probs.size(), expected.size());
    double sum = 0;
    for (size_t t = 0; t < expected.size(); ++t) {
      EXPECT_NEAR(hypothesis.log_probs[t], expected[t], 1e-5);
      sum += expected[t];
    }
    EXPECT_NEAR(hypothesis.log_prob, sum, 1e-4);
  }
}

TEST_F(BeamSearchTest, ABeamOfOneTakesTheBestWords) {
  BeamSearchOptions options;
  options.beam = 1;
  options.max_words = 6;
  options.allow_unknown = true;
  const Hypothesis found = Search(model(), options, 1).at(0);
  std::vector<std::byte> state(model().state_size());
  model().Start(state.data());
  for (WordId word : found.words) {
    const std::byte* row = state.data();
    ScoredWord best;
    model().TopK({&row, 1}, 1, {&best, 1});
    EXPECT_EQ(best.word, word);
    const LanguageModel::Query query = {
        state.data(), {&word, 1}, state.data(), {}};
    model().Score({&query, 1});
  }
}

TEST_F(BeamSearchTest, WhatIsCutOffComesLastAndSaysSo) {
  BeamSearchOptions options;
  options.beam = 20;
  options.max_words = 1;
  const std::vector<Hypothesis> found = Search(model(), options, 20);
  // "" has ended, x, y and z have not.
  ASSERT_EQ(found.size(), 4u);
  EXPECT_TRUE(found[0].ended);
  for (size_t i = 1; i < 4; ++i) {
    EXPECT_FALSE(found[i].ended);
    EXPECT_EQ(found[i].words.size(), 1u);
    EXPECT_EQ(found[i].log_probs.size(), 1u);
  }
}

}  // namespace
}  // namespace lmserve
