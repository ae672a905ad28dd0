// SPDX-License-Identifier: Apache-2.0
#include "trainer/ngram/distribution_sums.h"

#include <cmath>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/naive_backoff.h"
#include "tests/testing/ngram_models.h"

namespace lmserve {
namespace {

using testing::ElementsAre;

const std::vector<std::string> kWords = {"a", "b", "c", "d", "e"};

NaiveBackoff::Words Spell(const TableModel& model,
                          const std::vector<WordId>& words) {
  NaiveBackoff::Words spelled;
  for (WordId word : words) {
    spelled.emplace_back(model.vocabulary.word(word));
  }
  return spelled;
}

// Expects the sum that differs most from 1 among those of the definition.
void ExpectWorst(const TableModel& model) {
  const DistributionSums sums = SumDistributions(model.table);
  const NaiveBackoff naive(model.vocabulary, model.table);
  double worst = std::abs(naive.Sum({}) - 1);
  uint64_t contexts = 1;
  for (const auto& [ngram, entry] : naive.ngrams()) {
    if (ngram.size() == static_cast<size_t>(model.table.order())) continue;
    worst = std::max(worst, std::abs(naive.Sum(ngram) - 1));
    ++contexts;
  }
  EXPECT_EQ(sums.contexts, contexts);
  EXPECT_NEAR(std::abs(sums.worst - 1), worst, 1e-5 + 1e-4 * worst);
  EXPECT_NEAR(naive.Sum(Spell(model, sums.worst_context)), sums.worst,
              1e-5 * sums.worst);
}

TEST(DistributionSums, OfTrainedModelsAreOne) {
  for (int order : {1, 2, 4}) {
    const TableModel model = TrainTable(RandomText(1, kWords, 100), order);
    EXPECT_NEAR(SumDistributions(model.table).worst, 1, 5e-6);
    ExpectWorst(model);
  }
}

// The sums of an arbitrary table are found, also of its shorter contexts.
TEST(DistributionSums, OfAnyTable) {
  ExpectWorst(TableFromArpa(TinyArpa()));
  for (uint64_t seed = 1; seed < 20; ++seed) {
    TableModel model = TrainTable(RandomText(seed, kWords, 40), 4);
    NgramLevel& level = model.table.levels[seed % 3];
    level.backoffs[seed % level.size()] = 3;
    level.log_probs[2] = -0.01f;
    ExpectWorst(model);
  }
}

TEST(DistributionSums, NameTheWorstContext) {
  TableModel model = TrainTable("a b c\na b d\n", 3, "witten-bell");
  const NgramTable& table = model.table;
  // The 2-gram "a b".
  const WordId a = model.vocabulary.Find("a");
  const uint32_t ab = table.levels[0].children[a];
  model.table.levels[1].backoffs[ab] += 1;
  EXPECT_THAT(Spell(model, SumDistributions(table).worst_context),
              ElementsAre("a", "b"));
}

// Numbers that no sum can have are not lost.
TEST(DistributionSums, InfiniteWeights) {
  TableModel model = TrainTable("a b c\na b d\n", 3, "witten-bell");
  model.table.levels[0].backoffs[model.vocabulary.Find("a")] = 1000;
  EXPECT_EQ(SumDistributions(model.table).worst, INFINITY);
}

}  // namespace
}  // namespace lmserve
