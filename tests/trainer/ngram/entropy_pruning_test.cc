// SPDX-License-Identifier: Apache-2.0
#include "trainer/ngram/entropy_pruning.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/ngram/fast/ngram_builder.h"
#include "tests/testing/naive_backoff.h"
#include "tests/testing/ngram_models.h"
#include "trainer/ngram/distribution_sums.h"

namespace lmserve {
namespace {

using testing::HasSubstr;
using Words = NaiveBackoff::Words;
using Costs = std::map<Words, double>;

const std::vector<std::string> kWords = {"a", "b", "c", "d", "e", "f"};

// Returns P(h) by the chain rule. Words that the model does not know are <unk>.
double ContextProbability(const TableModel& model, Words context) {
  const NaiveBackoff naive(model.vocabulary, model.table);
  for (std::string& word : context) {
    if (!model.vocabulary.Contains(word)) word = "<unk>";
  }
  double prob = 1;
  for (size_t i = 0; i < context.size(); ++i) {
    const size_t longest = model.table.order() - 1;
    const size_t begin = i > longest ? i - longest : 0;
    prob *= context[i] == "<s>"
                ? naive.Probability({}, "</s>")
                : naive.Probability(
                      Words(context.begin() + begin, context.begin() + i),
                      context[i]);
  }
  return prob;
}

// Returns the costs by the definition of relative entropy: the model without an
// n-gram, and with the weight that then makes the distribution sum to 1, is
// compared with the model itself over all words.
Costs NaiveCosts(const TableModel& model, const TableModel& history) {
  const NaiveBackoff naive(model.vocabulary, model.table);
  Costs costs;
  for (const auto& [ngram, entry] : naive.ngrams()) {
    if (ngram.size() == 1) continue;
    const Words context(ngram.begin(), ngram.end() - 1);
    NaiveBackoff without = naive;
    without.Remove(ngram);
    double divergence = 0;
    for (const std::string& word : naive.KnownWords()) {
      const double prob = naive.Probability(context, word);
      if (prob == 0) continue;
      divergence += prob * std::log(prob / without.Probability(context, word));
    }
    costs[ngram] =
        std::exp(ContextProbability(history, context) * divergence) - 1;
  }
  return costs;
}

// Prunes by the definition: the highest order first, and no context of an
// n-gram that is kept.
NaiveBackoff NaivePrune(const TableModel& model, const Costs& costs,
                        double threshold) {
  NaiveBackoff naive(model.vocabulary, model.table);
  std::set<Words> needed;
  for (int k = model.table.order(); k > 1; --k) {
    for (const Words& ngram : naive.OfOrder(k)) {
      if (costs.at(ngram) < threshold && !needed.contains(ngram)) {
        naive.ngrams().erase(ngram);
      } else {
        needed.insert(Words(ngram.begin(), ngram.end() - 1));
      }
    }
  }
  naive.Normalize();
  return naive;
}

PruningCosts CostsOf(const TableModel& model, const TableModel& history) {
  return FindPruningCosts(model.vocabulary, model.table,
                          {history.vocabulary, history.table});
}

uint64_t CountNgrams(const NgramTable& table) {
  uint64_t count = 0;
  for (const NgramLevel& level : table.levels) count += level.size();
  return count;
}

// Returns the costs with the words of their n-grams, in the form of a model.
NaiveBackoff Spell(const TableModel& model, const PruningCosts& costs) {
  NgramTable table = model.table;
  for (int k = 2; k <= table.order(); ++k) {
    NgramLevel& level = table.levels[k - 1];
    for (size_t i = 0; i < level.size(); ++i) {
      level.log_probs[i] = static_cast<float>(std::log(costs[k - 1][i]));
    }
  }
  return NaiveBackoff(model.vocabulary, table);
}

struct Case {
  std::string name;
  TableModel (*model)();
  TableModel (*history)();  // null: the model itself
};

class EntropyPruningTest : public testing::TestWithParam<Case> {
 protected:
  const TableModel model_ = GetParam().model();
  const TableModel history_ =
      GetParam().history == nullptr ? GetParam().model() : GetParam().history();
  const PruningCosts costs_ = CostsOf(model_, history_);
};

// N-grams that are no contexts have the cost of the definition, and contexts at
// least that.
TEST_P(EntropyPruningTest, CostsAreRelativeEntropies) {
  const NaiveBackoff spelled = Spell(model_, costs_);
  const Costs expected = NaiveCosts(model_, history_);
  for (const auto& [ngram, cost] : expected) {
    SCOPED_TRACE(testing::PrintToString(ngram));
    double highest = cost;
    for (const auto& [other, other_cost] : expected) {
      if (other.size() > ngram.size() &&
          std::equal(ngram.begin(), ngram.end(), other.begin())) {
        highest = std::max(highest, other_cost);
      }
    }
    EXPECT_NEAR(spelled.ngrams().at(ngram).prob, highest,
                1e-7 + 1e-3 * highest);
  }
}

TEST_P(EntropyPruningTest, PrunesByTheDefinition) {
  const Costs costs = NaiveCosts(model_, history_);
  std::set<uint64_t> sizes;
  for (double threshold : {1e-5, 1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 1.0}) {
    SCOPED_TRACE(threshold);
    const NormalizedTable pruned = PruneNgrams(model_.table, costs_, threshold);
    EXPECT_EQ(pruned.scaled, 0u);
    EXPECT_NEAR(SumDistributions(pruned.table).worst, 1, 1e-5);
    EXPECT_TRUE(BuildNgramFile(pruned.table).ok());
    const NaiveBackoff found(model_.vocabulary, pruned.table);
    const NaiveBackoff expected = NaivePrune(model_, costs, threshold);
    ASSERT_EQ(found.ngrams().size(), expected.ngrams().size());
    auto other = expected.ngrams().begin();
    for (const auto& [ngram, entry] : found.ngrams()) {
      ASSERT_EQ(ngram, other->first);
      EXPECT_NEAR(entry.prob, other->second.prob, 1e-6);
      EXPECT_NEAR(entry.backoff, other->second.backoff,
                  1e-4 * other->second.backoff);
      ++other;
    }
    sizes.insert(CountNgrams(pruned.table));
  }
  EXPECT_GT(sizes.size(), 4u);
  EXPECT_EQ(*sizes.begin(), model_.vocabulary.size());
}

// Without pruning the file stays as it is, byte by byte.
TEST_P(EntropyPruningTest, ZeroChangesNothing) {
  EXPECT_EQ(BuildNgramFile(PruneNgrams(model_.table, costs_, 0).table).value(),
            BuildNgramFile(model_.table).value());
}

TEST_P(EntropyPruningTest, ThresholdForANumberOfNgrams) {
  const uint64_t words = model_.vocabulary.size();
  const uint64_t all = CountNgrams(model_.table);
  for (uint64_t most = words; most <= all + 1; most += 3) {
    const double threshold = ThresholdFor(model_.table, costs_, most).value();
    const uint64_t left =
        CountNgrams(PruneNgrams(model_.table, costs_, threshold).table);
    EXPECT_LE(left, most);
    // A smaller threshold leaves more than that, unless it is 0.
    const double smaller = std::nextafter(threshold, 0.0);
    const uint64_t more =
        CountNgrams(PruneNgrams(model_.table, costs_, smaller).table);
    EXPECT_TRUE(threshold == 0 ? left == all : more > most)
        << most << " " << left << " " << more;
  }
  EXPECT_EQ(ThresholdFor(model_.table, costs_, all).value(), 0);
}

TEST_P(EntropyPruningTest, WordsAreNotPruned) {
  const absl::Status status =
      ThresholdFor(model_.table, costs_, model_.vocabulary.size() - 1).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("expected at least"));
}

TableModel WittenBell() {
  return TrainTable(RandomText(1, kWords, 60), 3, "witten-bell");
}

INSTANTIATE_TEST_SUITE_P(
    Models, EntropyPruningTest,
    testing::Values(
        Case{"WittenBell", WittenBell, nullptr},
        Case{"KneserNey",
             [] { return TrainTable(RandomText(2, kWords, 80), 4); }, nullptr},
        Case{"KneserNeyWithAHistory",
             [] { return TrainTable(RandomText(2, kWords, 80), 4); },
             [] {
               return TrainTable(RandomText(2, kWords, 80), 3,
                                 "maximum-likelihood");
             }},
        Case{"HistoryWithOtherWords", WittenBell,
             [] {
               return TrainTable("x a <unk> b\nf e a c\nb a <unk> <unk>\n", 2,
                                 "witten-bell");
             }},
        Case{"WithMissingSuffixes",
             [] {
               EstimateOptions options;
               options.prune = {0, 1, 1};
               return TrainTable(RandomText(3, kWords, 80), 4, options);
             },
             nullptr}),
    [](const testing::TestParamInfo<Case>& info) { return info.param.name; });

// With the maximum likelihood, P(h) is a relative frequency: <s> a occurs twice
// among 8 tokens, and has no history but itself.
TEST(EntropyPruning, HistoriesAreFrequencies) {
  const TableModel model = TrainTable("a b\na c\nb\n", 3, "witten-bell");
  const TableModel history =
      TrainTable("a b\na c\nb\n", 2, "maximum-likelihood");
  EXPECT_NEAR(ContextProbability(history, {"<s>", "a"}), 2.0 / 8, 1e-6);
  EXPECT_NEAR(ContextProbability(history, {"b"}), 2.0 / 8, 1e-6);
}

// Costs of 0 are not below 0.
TEST(EntropyPruning, NothingIsCheaperThanNothing) {
  const TableModel model = WittenBell();
  for (const std::vector<double>& level : CostsOf(model, model)) {
    for (double cost : level) EXPECT_GE(cost, 0);
  }
}

// Without "a b", the word b would be impossible after a.
TEST(EntropyPruning, NgramsThatMakeAWordPossible) {
  const TableModel model = TableFromArpa(R"(\data\
ngram 1=5
ngram 2=2

\1-grams:
-99	<unk>
-99	<s>	0
-0.3010300	</s>
-0.3010300	a	-0.3010300
-99	b

\2-grams:
-0.3010300	a b
-0.1	<s> a

\end\
)");
  const PruningCosts costs = CostsOf(model, model);
  EXPECT_EQ(CountNgrams(PruneNgrams(model.table, costs, 1).table), 6u);
  EXPECT_EQ(ThresholdFor(model.table, costs, 6).value_or(0) > 0, true);
  EXPECT_THAT(ThresholdFor(model.table, costs, 5).status().message(),
              HasSubstr("expected at least 6, because"));
}

}  // namespace
}  // namespace lmserve
