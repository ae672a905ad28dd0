// SPDX-License-Identifier: Apache-2.0
#include "models/search/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/ngram_models.h"

namespace lmserve {
namespace {

constexpr int kDraws = 100000;

// Draws a word in the same way as the server.
std::optional<ScoredWord> DrawNext(const LanguageModel& model,
                                   const std::byte* state, Sampler* sampler) {
  const size_t size = model.vocabulary().size();
  std::vector<ScoredWord> best(sampler->best_wanted(size));
  if (!best.empty()) {
    model.TopK({&state, 1}, best.size(), absl::MakeSpan(best));
    return sampler->DrawFromBest(best);
  }
  std::vector<float> log_probs(size);
  model.Distribution({&state, 1}, log_probs.data());
  return sampler->DrawFromAll(log_probs);
}

// The probabilities of the tiny model do not sum to 1. The sampler draws words
// in proportion to them.
class SamplerTest : public testing::Test {
 protected:
  SamplerTest() : state_(model_.state_size()) { model_.Start(state_.data()); }

  WordId Id(absl::string_view word) const {
    return model_.vocabulary().Find(word);
  }

  std::vector<float> Distribution() const {
    std::vector<float> log_probs(model_.vocabulary().size());
    const std::byte* state = state_.data();
    model_.Distribution({&state, 1}, log_probs.data());
    return log_probs;
  }

  std::vector<WordId> Draw(const SamplerOptions& options, int draws,
                           uint64_t seed = 1,
                           const std::set<WordId>& used = {}) const {
    Sampler sampler(model_.vocabulary().unknown(), options, seed);
    for (WordId word : used) sampler.Use(word);
    std::vector<WordId> words;
    for (int i = 0; i < draws; ++i) {
      const std::optional<ScoredWord> word =
          DrawNext(model_, state_.data(), &sampler);
      words.push_back(word ? word->word : model_.vocabulary().size());
    }
    return words;
  }

  // Computes the distribution of the sampler in double, step by step in the
  // order that SamplerOptions documents.
  std::map<WordId, double> Expected(const SamplerOptions& options,
                                    const std::set<WordId>& used) const {
    struct Odds {
      double odds;
      WordId word;
    };
    std::vector<Odds> words;
    const std::vector<float> log_probs = Distribution();
    for (WordId w = 0; w < log_probs.size(); ++w) {
      if (w == model_.vocabulary().unknown() && !options.allow_unknown) {
        continue;
      }
      double odds = std::exp(double{log_probs[w]});
      if (used.count(w) > 0) odds /= options.repetition_penalty;
      if (odds > 0) {
        words.push_back({std::pow(odds, 1.0 / options.temperature), w});
      }
    }
    std::sort(words.begin(), words.end(),
              [](const Odds& a, const Odds& b) { return a.odds > b.odds; });
    if (options.top_k > 0 && options.top_k < words.size()) {
      words.resize(options.top_k);
    }
    double total = 0;
    for (const Odds& word : words) total += word.odds;
    double mass = 0;
    size_t kept = 0;
    while (kept < words.size() && mass < options.top_p * total) {
      mass += words[kept++].odds;
    }
    words.resize(kept);
    std::map<WordId, double> expected;
    for (const Odds& word : words) expected[word.word] = word.odds / mass;
    return expected;
  }

  // Pearson's chi-squared test on 100,000 draws with a significance level of
  // 1e-6. The seed is fixed, so the result is deterministic.
  void ExpectFits(const SamplerOptions& options,
                  const std::set<WordId>& used = {}) const {
    const std::map<WordId, double> expected = Expected(options, used);
    std::map<WordId, int> found;
    for (WordId word : Draw(options, kDraws, 1, used)) ++found[word];
    double chi_squared = 0;
    for (const auto& [word, probability] : expected) {
      const double mean = probability * kDraws;
      ASSERT_GT(mean, 5) << "too rare for the test";
      chi_squared += std::pow(found[word] - mean, 2) / mean;
    }
    for (const auto& [word, count] : found) {
      EXPECT_TRUE(count == 0 || expected.count(word) > 0)
          << model_.vocabulary().word(word);
    }
    // The quantiles at 1 - 1e-6 for 0, 1, ..., 9 degrees of freedom.
    static constexpr double kLimits[] = {1e-9,  23.93, 27.63, 30.66, 33.38,
                                         35.89, 38.26, 40.52, 42.70, 44.81};
    ASSERT_LE(expected.size(), std::size(kLimits));
    EXPECT_LT(chi_squared, kLimits[expected.size() - 1]);
  }

  const BuiltNgramModel built_ = BuildFromArpa(TinyArpa());
  const NgramModel& model_ = *built_.model;
  std::vector<std::byte> state_;
};

TEST_F(SamplerTest, Plain) { ExpectFits({}); }

TEST_F(SamplerTest, Temperature) {
  for (float temperature : {0.5f, 0.8f, 2.0f, 5.0f}) {
    SamplerOptions options;
    options.temperature = temperature;
    ExpectFits(options);
  }
}

TEST_F(SamplerTest, TopK) {
  for (uint32_t k : {1, 2, 3, 8, 9, 1000}) {
    SamplerOptions options;
    options.top_k = k;
    ExpectFits(options);
  }
}

TEST_F(SamplerTest, TopP) {
  for (float p : {0.01f, 0.3f, 0.5f, 0.8f, 0.95f, 0.9999f}) {
    SamplerOptions options;
    options.top_p = p;
    ExpectFits(options);
  }
}

TEST_F(SamplerTest, Penalty) {
  for (float penalty : {0.5f, 1.5f, 4.0f}) {
    SamplerOptions options;
    options.repetition_penalty = penalty;
    ExpectFits(options, {Id("the"), Id("is")});
  }
}

TEST_F(SamplerTest, AllAtOnce) {
  SamplerOptions options;
  options.temperature = 1.3;
  options.top_k = 5;
  options.top_p = 0.9;
  options.repetition_penalty = 2;
  options.allow_unknown = true;
  ExpectFits(options, {Id("the"), Id("cat"), Id("small")});
}

// The penalty lowers the best words below others, so the best words before the
// penalty are not the best words after it.
TEST_F(SamplerTest, PenaltyComesBeforeTopK) {
  SamplerOptions options;
  options.top_k = 2;
  options.repetition_penalty = 1000;
  ExpectFits(options, {Id("the"), Id("a"), Id("</s>")});
}

// A penalty below 1 may raise a word into the top k that is not among the best
// words of the model.
TEST_F(SamplerTest, PenaltyBelowOneRaisesIntoTopK) {
  SamplerOptions options;
  options.top_k = 2;
  options.repetition_penalty = 0.001;
  ExpectFits(options, {Id("barks")});
}

TEST_F(SamplerTest, UnknownWordIsDrawnOnRequest) {
  SamplerOptions options;
  const std::vector<WordId> without = Draw(options, kDraws);
  EXPECT_EQ(std::count(without.begin(), without.end(), Id("<unk>")), 0);
  options.allow_unknown = true;
  const std::vector<WordId> with = Draw(options, kDraws);
  EXPECT_GT(std::count(with.begin(), with.end(), Id("<unk>")), 0);
  ExpectFits(options);
}

TEST_F(SamplerTest, BeginOfSentenceIsNeverDrawn) {
  SamplerOptions options;
  options.temperature = 100;
  options.allow_unknown = true;
  const std::vector<WordId> words = Draw(options, kDraws);
  EXPECT_EQ(std::count(words.begin(), words.end(), Id("<s>")), 0);
}

TEST_F(SamplerTest, ReturnsTheProbabilityOfTheModel) {
  const std::vector<float> log_probs = Distribution();
  SamplerOptions options;
  options.temperature = 3;
  options.top_k = 6;
  options.repetition_penalty = 2;
  Sampler sampler(model_.vocabulary().unknown(), options, 1);
  sampler.Use(Id("the"));
  for (int i = 0; i < 100; ++i) {
    const std::optional<ScoredWord> word =
        DrawNext(model_, state_.data(), &sampler);
    ASSERT_TRUE(word.has_value());
    EXPECT_EQ(word->log_prob, log_probs[word->word]);
  }
}

TEST_F(SamplerTest, TheSeedDeterminesTheWords) {
  for (uint32_t k : {0, 3}) {
    SamplerOptions options;
    options.top_k = k;
    EXPECT_EQ(Draw(options, 1000, 7), Draw(options, 1000, 7));
    EXPECT_NE(Draw(options, 1000, 7), Draw(options, 1000, 8));
  }
}

TEST_F(SamplerTest, TemperatureZeroTakesTheBest) {
  SamplerOptions options;
  options.temperature = 0;
  // After <s>, "the" is the best word (log10 P = -0.3), then "a" (-0.6).
  EXPECT_THAT(Draw(options, 20), testing::Each(Id("the")));
  options.repetition_penalty = 10;
  EXPECT_THAT(Draw(options, 20, 1, {Id("the")}), testing::Each(Id("a")));
  options.repetition_penalty = 1.1;
  EXPECT_THAT(Draw(options, 20, 1, {Id("the")}), testing::Each(Id("the")));
}

TEST_F(SamplerTest, PenaltyOfOneHasNoEffect) {
  EXPECT_EQ(Draw({}, 1000, 1, {Id("the"), Id("a")}), Draw({}, 1000, 1));
}

// Draws from a model that gives all probability to <unk>.
class OnlyUnknownSamplerTest : public testing::TestWithParam<SamplerOptions> {};

TEST_P(OnlyUnknownSamplerTest, NoWordIsLeft) {
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  NgramTable table;
  table.levels.resize(1);
  table.levels[0].words = {0, 1, 2};
  table.levels[0].log_probs = {0, kNever, kNever};
  const BuiltNgramModel built =
      BuildModel(Vocabulary::Parse("<unk>\n<s>\n</s>\n").value(), table);
  std::vector<std::byte> state(built.model->state_size());
  built.model->Start(state.data());
  SamplerOptions options = GetParam();
  Sampler strict(0, options, 1);
  EXPECT_EQ(DrawNext(*built.model, state.data(), &strict), std::nullopt);
  options.allow_unknown = true;
  Sampler lenient(0, options, 1);
  EXPECT_EQ(DrawNext(*built.model, state.data(), &lenient), (ScoredWord{0, 0}));
}

INSTANTIATE_TEST_SUITE_P(Options, OnlyUnknownSamplerTest,
                         testing::Values(SamplerOptions{},
                                         SamplerOptions{.temperature = 0},
                                         SamplerOptions{.top_k = 2},
                                         SamplerOptions{.top_p = 0.5}));

}  // namespace
}  // namespace lmserve
