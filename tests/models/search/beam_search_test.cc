// SPDX-License-Identifier: Apache-2.0
#include "models/search/beam_search.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/model_factory.h"
#include "tests/testing/neural_models.h"

namespace lmserve {
namespace {

using Hypothesis = BeamSearch::Hypothesis;

// Returns the attention of each state on the words of the test source and </s>,
// with the shape (states, source words + 1).
std::vector<float> Attention(const TranslationModel& translation,
                             absl::Span<const std::byte* const> states) {
  const size_t size = TestSource(translation.source_vocabulary()).size() + 1;
  std::vector<float> weights(states.size() * size);
  std::vector<TranslationModel::AttentionQuery> batch;
  for (size_t i = 0; i < states.size(); ++i) {
    batch.push_back(
        {states[i], absl::MakeSpan(weights).subspan(i * size, size)});
  }
  translation.Attend(batch);
  return weights;
}

// Runs a beam search. `translation` is the model whose decoder `model` is; if
// it is not null, the search gets its attention.
std::vector<Hypothesis> Search(const LanguageModel& model,
                               const BeamSearchOptions& options, size_t count,
                               const TranslationModel* translation = nullptr) {
  std::vector<std::byte> start(model.state_size());
  model.Start(start.data());
  BeamSearch search(model, options, start.data());
  while (!search.done()) {
    const BeamSearch::Step step = search.Next();
    model.Score(step.moves);
    std::vector<ScoredWord> best(step.states.size() * step.k);
    model.TopK(step.states, step.k, absl::MakeSpan(best));
    if (translation == nullptr) {
      search.Take(best);
    } else {
      search.Take(best, Attention(*translation, step.states));
    }
  }
  return search.Best(count);
}

// Returns ln P of each word of a text, scored from the initial state.
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

  const LanguageModel& model() const { return *reading_; }
  const TranslationModel& translation() const { return *model_.translation(); }

  // Computes the coverage of a text with </s>, word by word.
  double Coverage(const std::vector<WordId>& text) const {
    std::vector<std::byte> state(model().state_size());
    model().Start(state.data());
    std::vector<double> attention;
    for (WordId word : text) {
      const std::byte* row = state.data();
      const std::vector<float> weights = Attention(translation(), {&row, 1});
      attention.resize(weights.size());
      for (size_t j = 0; j < weights.size(); ++j) attention[j] += weights[j];
      const LanguageModel::Query query = {
          state.data(), {&word, 1}, state.data(), {}};
      model().Score({&query, 1});
    }
    double coverage = 0;
    for (double total : attention) coverage += std::log(std::min(1.0, total));
    return coverage;
  }

  // Returns all texts with at most max_words tokens, </s> included, in order of
  // descending score.
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
        found.score = found.log_prob / std::pow(found.log_probs.size(),
                                                options.length_alpha) +
                      options.coverage_beta * Coverage(text);
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
  const AnyModel model_ = CreateModel(made_.family, made_.Files()).value();
  const std::unique_ptr<const LanguageModel> reading_ =
      ReadTestSource(translation());
};

TEST_F(BeamSearchTest, ExhaustiveBeamFindsTheBestText) {
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

TEST_F(BeamSearchTest, ExhaustiveBeamFindsTheBestTextWithCoverage) {
  std::vector<std::vector<WordId>> firsts;
  for (double beta : {0.0, 0.1, 0.8}) {
    BeamSearchOptions options;
    options.beam = 2000;
    options.max_words = 4;
    options.coverage_beta = beta;
    const std::vector<Hypothesis> expected = Enumerate(options);
    const std::vector<Hypothesis> found =
        Search(model(), options, expected.size(), &translation());
    ASSERT_EQ(found.size(), expected.size());
    for (size_t i = 0; i < found.size(); ++i) {
      EXPECT_NEAR(found[i].score, expected[i].score, 1e-5);
    }
    EXPECT_EQ(found[0].words, expected[0].words);
    firsts.push_back(found[0].words);
  }
  EXPECT_NE(firsts.front(), firsts.back());
}

TEST_F(BeamSearchTest, WithoutCoverageBetaAttentionIsIgnored) {
  BeamSearchOptions options;
  options.length_alpha = 0.6;
  options.max_words = 12;
  const std::vector<Hypothesis> expected = Search(model(), options, 5);
  const std::vector<Hypothesis> found =
      Search(model(), options, 5, &translation());
  ASSERT_EQ(found.size(), expected.size());
  for (size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].words, expected[i].words);
    EXPECT_EQ(found[i].score, expected[i].score);
  }
}

// The attention of the words before the start counts, at most 1 for each source
// position. A position without attention does not exclude a hypothesis.
TEST_F(BeamSearchTest, CoverageStartsFromTheGivenAttention) {
  BeamSearchOptions options;
  options.beam = 1;
  options.max_words = 1;
  options.coverage_beta = 2;
  std::vector<std::byte> start(model().state_size());
  model().Start(start.data());
  BeamSearch search(model(), options, start.data(), {0.25, 0.75, 0});
  const size_t k = search.Next().k;
  std::vector<ScoredWord> best(k, {model().vocabulary().end_sentence(), -1.0f});
  search.Take(best, {0.25, 0.75, 0});
  ASSERT_TRUE(search.done());
  EXPECT_NEAR(search.Best(1)[0].score,
              -1 + 2 * (std::log(0.5) + std::log(1e-10)), 1e-5);
}

TEST_F(BeamSearchTest, LogProbabilitiesEqualScore) {
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

TEST_F(BeamSearchTest, TextsThatAreCutOffComeLast) {
  BeamSearchOptions options;
  options.beam = 20;
  options.max_words = 1;
  const std::vector<Hypothesis> found = Search(model(), options, 20);
  // The empty text has ended; x, y and z have been cut off.
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
