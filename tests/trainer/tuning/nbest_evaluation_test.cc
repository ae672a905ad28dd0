// SPDX-License-Identifier: Apache-2.0
#include "trainer/tuning/nbest_evaluation.h"

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::ElementsAre;

// Lists of random texts with one reference per list.
struct Task {
  NbestLists lists;
  std::vector<std::vector<std::string>> references;
};

std::string RandomText(std::mt19937_64& random) {
  std::vector<std::string> words;
  for (size_t n = 3 + random() % 6; n > 0; --n) {
    words.push_back(std::string(1, static_cast<char>('a' + random() % 4)));
  }
  return absl::StrJoin(words, " ");
}

Task RandomTask(size_t lists, size_t candidates, uint64_t seed) {
  std::mt19937_64 random(seed);
  Task task;
  task.lists.feature_names = {"f", "g"};
  for (size_t i = 0; i < lists; ++i) {
    NbestList& list = task.lists.lists.emplace_back();
    for (size_t c = 0; c < candidates; ++c) {
      list.candidates.push_back(
          {RandomText(random),
           {static_cast<double>(random() % 9), static_cast<double>(c)},
           {}});
    }
    task.references.push_back({RandomText(random)});
  }
  return task;
}

std::unique_ptr<const Metric> Make(const std::string& name) {
  return MakeMetric(name, "none").value();
}

TEST(ChooseTest, FirstAndRandom) {
  const Task task = RandomTask(50, 5, 1);
  EXPECT_THAT(ChooseFirst(task.lists), testing::Each(0u));
  const NbestChoice random = ChooseRandom(task.lists, 1);
  EXPECT_EQ(random, ChooseRandom(task.lists, 1));
  EXPECT_NE(random, ChooseRandom(task.lists, 2));
  EXPECT_EQ(*std::max_element(random.begin(), random.end()), 4u);
}

TEST(ChooseTest, TheBestWeightedSumOrTheFirstOfEqualOnes) {
  NbestLists lists;
  lists.feature_names = {"f", "g"};
  lists.lists = {{"0", 1, {{"a", {1, 0}, {}}, {"b", {0, 3}, {}}}},
                 {"1", 3, {{"a", {2, 2}, {}}, {"b", {2, 2}, {}}}}};
  EXPECT_THAT(ChooseWeighted(lists, {1, 0}), ElementsAre(0, 0));
  EXPECT_THAT(ChooseWeighted(lists, {1, 1}), ElementsAre(1, 0));
  EXPECT_THAT(ChooseWeighted(lists, {-1, 0}), ElementsAre(1, 0));
}

// Compares the oracle with all 3^5 = 243 choices.
TEST(ChooseTest, TheOracleIsNearlyOptimal) {
  for (const char* name : {"bleu", "chrf", "wer"}) {
    const std::unique_ptr<const Metric> metric = Make(name);
    int optimal = 0;
    for (uint64_t seed = 1; seed <= 20; ++seed) {
      const Task task = RandomTask(5, 3, seed);
      const NbestCounts counts(task.lists, task.references, *metric);
      std::vector<double> scores;
      for (size_t code = 0; code < 243; ++code) {
        NbestChoice choice;
        for (size_t i = 0, rest = code; i < 5; ++i, rest /= 3) {
          choice.push_back(rest % 3);
        }
        scores.push_back(counts.Score(choice));
      }
      const double best = metric->higher_is_better()
                              ? *std::max_element(scores.begin(), scores.end())
                              : *std::min_element(scores.begin(), scores.end());
      const double oracle = counts.Score(ChooseOracle(counts));
      if (metric->higher_is_better()) {
        EXPECT_LE(oracle, best + 1e-9);
        EXPECT_GE(oracle, counts.Score(ChooseFirst(task.lists)) - 1e-9);
      }
      optimal += std::abs(oracle - best) < 1e-9;
    }
    // The search, which changes one candidate at a time, rarely misses the
    // optimum.
    EXPECT_GE(optimal, 17) << name;
  }
}

TEST(CompareChoicesTest, TheScoreIsThatOfTheChoice) {
  const Task task = RandomTask(40, 4, 3);
  const std::unique_ptr<const Metric> metric = Make("bleu");
  const NbestCounts counts(task.lists, task.references, *metric);
  const NbestChoice first = ChooseFirst(task.lists);
  const NbestChoice oracle = ChooseOracle(counts);
  const std::vector<NbestRow> rows = CompareChoices(
      counts, {{"first", first}, {"same", first}, {"oracle", oracle}}, 400, 1);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].name, "first");
  EXPECT_EQ(rows[0].p_value, 1);
  EXPECT_DOUBLE_EQ(rows[0].score, counts.Score(first));
  EXPECT_NEAR(rows[0].mean, rows[0].score, rows[0].interval);
  // Equal choices do not differ significantly; a much better choice does.
  EXPECT_DOUBLE_EQ(rows[1].score, rows[0].score);
  EXPECT_DOUBLE_EQ(rows[1].mean, rows[0].mean);
  EXPECT_EQ(rows[1].p_value, 1);
  EXPECT_LT(rows[2].p_value, 0.01);
  EXPECT_GT(rows[2].score, rows[0].score);
  const std::vector<NbestRow> again =
      CompareChoices(counts, {{"first", first}, {"oracle", oracle}}, 400, 1);
  EXPECT_EQ(again[1].mean, rows[2].mean);
}

// Of two sentences, one is right and one is wrong. A sample has the right one
// 0, 1 or 2 times, with probability 1/4, 1/2, 1/4.
TEST(CompareChoicesTest, SamplesAreDrawnWithReplacement) {
  NbestLists lists;
  lists.lists = {{"0", 1, {{"a", {}, {}}}}, {"1", 2, {{"x", {}, {}}}}};
  const std::unique_ptr<const Metric> metric = Make("wer");
  const NbestCounts counts(lists, {{"a"}, {"b"}}, *metric);
  const std::vector<NbestRow> rows =
      CompareChoices(counts, {{"first", {0, 0}}}, 10'000, 1);
  EXPECT_DOUBLE_EQ(rows[0].score, 50);
  EXPECT_NEAR(rows[0].mean, 50, 2);
  EXPECT_DOUBLE_EQ(rows[0].interval, 50);
}

}  // namespace
}  // namespace lmserve
