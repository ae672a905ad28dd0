// SPDX-License-Identifier: Apache-2.0
#include "trainer/ngram/backoff_weights.h"

#include <cmath>
#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "tests/testing/naive_backoff.h"
#include "tests/testing/ngram_models.h"
#include "trainer/ngram/distribution_sums.h"

namespace lmserve {
namespace {

const std::vector<std::string> kWords = {"a", "b", "c", "d", "e"};

// Sets all weights of a table to nonsense.
void SpoilWeights(NgramTable* table) {
  for (int k = 1; k < table->order(); ++k) {
    for (float& backoff : table->levels[k - 1].backoffs) backoff = 0.7f;
  }
}

// A trained model has the weights with which its distributions sum to 1. The
// weights of contexts with few unseen words depend on how the others are
// rounded.
TEST(RecomputeBackoffs, FindsTheWeightsOfTheTrainer) {
  for (const char* method : {"modified-kneser-ney", "witten-bell", "katz"}) {
    TableModel model = TrainTable(RandomText(1, kWords, 100), 4, method);
    const NgramTable trained = model.table;
    SpoilWeights(&model.table);
    EXPECT_EQ(RecomputeBackoffs(&model.table), 0u);
    for (int k = 1; k < 4; ++k) {
      const NgramLevel& level = model.table.levels[k - 1];
      for (size_t i = 0; i < level.size(); ++i) {
        const float expected = std::exp(trained.levels[k - 1].backoffs[i]);
        EXPECT_NEAR(std::exp(level.backoffs[i]), expected, 0.01 * expected)
            << method << " order " << k;
      }
    }
    EXPECT_NEAR(SumDistributions(model.table).worst, 1, 5e-6) << method;
  }
}

// The weights of maximum likelihood are 0 but for contexts without n-grams, and
// a sum of rounded probabilities does not change that.
TEST(RecomputeBackoffs, KeepsWeightsThatRoundingHides) {
  TableModel model =
      TrainTable(RandomText(1, kWords, 100), 3, "maximum-likelihood");
  const NgramTable trained = model.table;
  RecomputeBackoffs(&model.table);
  for (int k = 1; k < 3; ++k) {
    EXPECT_EQ(model.table.levels[k - 1].backoffs,
              trained.levels[k - 1].backoffs);
  }
}

// A context with all words but one, which has little probability: the weight is
// large, and correct.
TEST(RecomputeBackoffs, FewUnseenWords) {
  TableModel model = TableFromArpa(R"(\data\
ngram 1=4
ngram 2=2

\1-grams:
-7	<unk>
-99	<s>	0
-0.3010300	</s>
-0.3010300	a	0

\2-grams:
-0.5	a a
-0.5	a </s>

\end\
)");
  EXPECT_EQ(RecomputeBackoffs(&model.table), 0u);
  const double left = 1 - 2 * std::pow(10, -0.5);
  const NaiveBackoff naive(model.vocabulary, model.table);
  EXPECT_NEAR(naive.Probability({"a"}, "<unk>"), left, 1e-6);
  EXPECT_NEAR(naive.Sum({"a"}), 1, 1e-6);
}

// Without another word that has a probability, the n-grams are scaled.
TEST(RecomputeBackoffs, ScalesWhatNoWeightMakesOne) {
  TableModel model = TableFromArpa(R"(\data\
ngram 1=4
ngram 2=4

\1-grams:
-99	<unk>
-99	<s>	0
-0.3010300	</s>
-0.3010300	a	0

\2-grams:
-0.5	a a
-0.5	a </s>
-0.01	<s> a
-0.2	<s> </s>

\end\
)");
  EXPECT_EQ(RecomputeBackoffs(&model.table), 2u);
  const NaiveBackoff naive(model.vocabulary, model.table);
  EXPECT_NEAR(naive.Probability({"a"}, "a"), 0.5, 1e-6);
  EXPECT_NEAR(naive.Sum({"a"}), 1, 1e-6);
  EXPECT_NEAR(naive.Sum({"<s>"}), 1, 1e-6);
}

// N-grams that exceed 1 are scaled, and other words get nothing.
TEST(RecomputeBackoffs, ScalesWhatExceedsOne) {
  TableModel model = TableFromArpa(R"(\data\
ngram 1=4
ngram 2=1

\1-grams:
-0.4	<unk>
-99	<s>	0
-0.4	</s>
-0.7	a	0.5

\2-grams:
-0.0	a a

\end\
)");
  model.table.levels[1].log_probs[0] = 0.1f;
  EXPECT_EQ(RecomputeBackoffs(&model.table), 2u);  // with the empty context
  const NaiveBackoff naive(model.vocabulary, model.table);
  EXPECT_NEAR(naive.Probability({"a"}, "a"), 1, 1e-6);
  EXPECT_NEAR(naive.Sum({"a"}), 1, 5e-6);
  EXPECT_NEAR(naive.Sum({}), 1, 5e-6);
}

}  // namespace
}  // namespace lmserve
