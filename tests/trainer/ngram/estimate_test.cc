// SPDX-License-Identifier: Apache-2.0
#include "trainer/ngram/estimate.h"

#include <algorithm>
#include <cmath>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/text.h"
#include "tests/testing/ngram_models.h"
#include "tests/trainer/neural/training.h"

namespace lmserve {
namespace {

using testing::Each;
using testing::HasSubstr;

EstimateOptions Options(std::string method, std::vector<uint32_t> prune = {}) {
  EstimateOptions options;
  options.smoothing.method = std::move(method);
  options.prune = std::move(prune);
  return options;
}

EstimateOptions Pruned(std::vector<uint32_t> prune) {
  return Options("modified-kneser-ney", std::move(prune));
}

// Returns P(word | context). The context follows <s> unless it starts with a
// word after which the model knows no words.
double Probability(const NgramModel& model, absl::string_view context,
                   absl::string_view word) {
  std::vector<std::byte> state(model.state_size());
  model.Start(state.data());
  for (absl::string_view before : SplitWords(context)) {
    model.ScoreWord(state.data(), model.vocabulary().Find(before));
  }
  return std::exp(
      model.ScoreWord(state.data(), model.vocabulary().Find(word)).log_prob);
}

// A text whose model is computed by hand. Bigrams: a is followed by b (4
// times), d (2) and c (1). The numbers of bigrams with the counts 1 to 4 are 2,
// 2, 0 and 2, so the fallback discounts 0.5, 1 and 1.5 are used. Unigrams: </s>
// follows 3 different words; a, b, c and d follow one each; the discounts are
// the same.
constexpr char kText[] = "a b\na b\na b\na b\na c\na d\na d\n";

// The part of the leftover of order 1 that each of <unk> </s> a b c d gets. The
// adjusted counts sum to 7, of which 4 * 0.5 + 1.5 are discounted.
constexpr double kLeft = 0.5 / 6;
constexpr double kOnce = 0.5 / 7 + kLeft;    // a, b, c, d
constexpr double kThrice = 1.5 / 7 + kLeft;  // </s>
constexpr char kFresh[] = "<unk>";           // a context without n-grams

TEST(ModifiedKneserNey, UnigramsByHand) {
  const TrainedNgramModel trained = TrainModel(kText, 2);
  const NgramModel& model = *trained.model;
  for (const char* word : {"a", "b", "c", "d"}) {
    EXPECT_NEAR(Probability(model, kFresh, word), kOnce, 1e-7) << word;
  }
  EXPECT_NEAR(Probability(model, kFresh, "</s>"), kThrice, 1e-7);
}

// |V| includes <unk> and </s> but not <s>. <unk> gets only its part of the
// leftover.
TEST(ModifiedKneserNey, UnknownWordByHand) {
  const TrainedNgramModel trained = TrainModel(kText, 2);
  EXPECT_NEAR(Probability(*trained.model, kFresh, "never"), kLeft, 1e-8);
}

// b occurs four times and gets the discount for counts of 3 or more.
TEST(ModifiedKneserNey, BigramsByHand) {
  const TrainedNgramModel trained = TrainModel(kText, 2);
  const NgramModel& model = *trained.model;
  const double left = (0.5 + 1 + 1.5) / 7;
  EXPECT_NEAR(Probability(model, "a", "b"), 2.5 / 7 + left * kOnce, 1e-7);
  EXPECT_NEAR(Probability(model, "a", "d"), 1.0 / 7 + left * kOnce, 1e-7);
  EXPECT_NEAR(Probability(model, "a", "c"), 0.5 / 7 + left * kOnce, 1e-7);
  EXPECT_NEAR(Probability(model, "a", "</s>"), left * kThrice, 1e-7);
  EXPECT_NEAR(Probability(model, "a", "never"), left * kLeft, 1e-7);
  EXPECT_NEAR(Probability(model, "", "a"), 5.5 / 7 + 1.5 / 7 * kOnce, 1e-7);
}

// A text that is too small for discounts is still trained on, with a note.
TEST(ModifiedKneserNey, UsesTheFallbackWithANote) {
  EXPECT_THAT(TrainModel(kText, 2).notes,
              testing::ElementsAre("order 1: no n-gram has the count 2; "
                                   "using the discounts 0.5 1 1.5",
                                   "order 2: no n-gram has the count 3; "
                                   "using the discounts 0.5 1 1.5"));
}

// The last line counts like any other. If its adjusted counts were ignored, its
// new word, which occurs three times after one other word, would enter the
// counts of counts as 3 instead of 1.
TEST(ModifiedKneserNey, DiscountsDoNotDependOnTheOrderOfLines) {
  const std::string text = DemoText(2000, 3);
  const std::string line = "the zebra the zebra the zebra\n";
  const TrainedNgramModel last = TrainModel(text + line, 3);
  const TrainedNgramModel first = TrainModel(line + text, 3);
  EXPECT_THAT(last.notes, Each(HasSubstr(": discounts ")));
  EXPECT_EQ(last.notes, first.notes);
}

// The discounts use the adjusted counts of all n-grams, including the last one.
TEST(ModifiedKneserNey, DiscountsAreThoseOfAllAdjustedCounts) {
  const NgramCounts counts = CountsOf(DemoText(2000, 3), 3);
  const Estimate estimate = EstimateModel(counts, EstimateOptions()).value();
  for (int k = 1; k <= 3; ++k) {
    CountsOfCounts n = {};
    for (uint32_t count :
         k < 3 ? AdjustedCounts(counts, k) : counts.levels[2].counts) {
      if (count < n.size()) ++n[count];
    }
    EXPECT_EQ(estimate.notes[k - 1],
              absl::StrCat("order ", k, ": discounts ",
                           absl::StrJoin(KneserNeyDiscounts(n).value(), " ")));
  }
}

// <s> is never predicted: its probability is 0.
TEST(Estimate, BeginSentenceHasNoProbability) {
  for (absl::string_view method : SmoothingMethods()) {
    const Estimate estimate =
        EstimateModel(CountsOf(kText, 2), Options(std::string(method))).value();
    const NgramLevel& unigrams = estimate.table.levels[0];
    double sum = 0;
    for (float log_prob : unigrams.log_probs) sum += std::exp(log_prob);
    EXPECT_EQ(unigrams.log_probs[1], -INFINITY) << method;
    if (method == "stupid-back-off") continue;  // does not give probabilities
    EXPECT_NEAR(sum, 1, 1e-6) << method;
  }
}

// Without pruning options all n-grams are kept. (SRILM by default drops n-grams
// of order 3 and higher that occur once.)
TEST(Estimate, KeepsAllByDefault) {
  const std::string text = DemoText(200, 4);
  const NgramCounts counts = CountsOf(text, 4);
  const TrainedNgramModel trained = TrainModel(text, 4);
  for (int k = 1; k <= 4; ++k) {
    EXPECT_EQ(trained.model->Count(k), counts.levels[k - 1].size());
  }
}

// Pruning changes neither shares nor discounts; the share of "a c" is added to
// the leftover.
TEST(Pruning, TheLeftoverGetsTheShares) {
  const TrainedNgramModel trained = TrainModel(kText, 2, Pruned({0, 1}));
  const NgramModel& model = *trained.model;
  EXPECT_EQ(trained.notes, TrainModel(kText, 2).notes);
  const double left = (0.5 + 1 + 1.5 + 0.5) / 7;
  EXPECT_NEAR(Probability(model, "a", "b"), 2.5 / 7 + left * kOnce, 1e-7);
  EXPECT_NEAR(Probability(model, "a", "c"), left * kOnce, 1e-7);
  // No n-gram is left after c, so its back-off weight is 1.
  EXPECT_NEAR(Probability(model, "never c", "</s>"), kThrice, 1e-7);
}

// Thresholds apply to actual counts. "x y z" occurs twice, after a single word:
// its adjusted count is 1, its actual count 2.
TEST(Pruning, ComparesActualCounts) {
  const std::string text = "w x y z\nw x y z\nw\n";
  const auto count = [&](const std::vector<uint32_t>& prune) {
    std::vector<size_t> sizes;
    const TrainedNgramModel trained = TrainModel(text, 3, Pruned(prune));
    for (int k = 1; k <= 3; ++k) sizes.push_back(trained.model->Count(k));
    return sizes;
  };
  using testing::ElementsAre;
  // "w </s>" and "<s> w </s>" occur once.
  EXPECT_THAT(count({}), ElementsAre(7, 6, 5));
  EXPECT_THAT(count({0, 1}), ElementsAre(7, 5, 4));
  EXPECT_THAT(count({0, 0, 1}), ElementsAre(7, 6, 4));
  EXPECT_THAT(count({0, 2}),
              ElementsAre(7, 1, 0));  // "<s> w" occurs three times
  EXPECT_THAT(count({0, 2, 3}), ElementsAre(7, 1, 0));
}

// Words are never pruned, including <s>, </s> and <unk>.
TEST(Pruning, NeverTouchesWords) {
  const TrainedNgramModel trained = TrainModel(kText, 3, Pruned({0, 1000}));
  EXPECT_EQ(trained.model->Count(1), 7u);
  EXPECT_EQ(trained.model->Count(2), 0u);
  EXPECT_NEAR(Probability(*trained.model, "a b", "</s>"), kThrice, 1e-7);
}

TEST(Pruning, TheLastThresholdHoldsForHigherOrders) {
  const std::string text = DemoText(200, 5);
  EXPECT_EQ(TrainModel(text, 4, Pruned({0, 1})).bytes,
            TrainModel(text, 4, Pruned({0, 1, 1, 1})).bytes);
  EXPECT_NE(TrainModel(text, 4, Pruned({0, 1})).bytes,
            TrainModel(text, 4, Pruned({0, 0, 1})).bytes);
}

// Other thresholds could remove the suffix of an n-gram that is kept.
TEST(Pruning, BadThresholds) {
  const NgramCounts counts = CountsOf(kText, 3);
  const absl::Status falls = EstimateModel(counts, Pruned({0, 2, 1})).status();
  EXPECT_EQ(falls.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(falls.message(), HasSubstr("found 2 before 1"));
  const absl::Status words = EstimateModel(counts, Pruned({1})).status();
  EXPECT_EQ(words.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(words.message(), HasSubstr("expected 0 for order 1, found 1"));
}

TEST(Estimate, BadMethod) {
  EXPECT_EQ(EstimateModel(CountsOf(kText, 2), Options("kn")).status().code(),
            absl::StatusCode::kInvalidArgument);
}

std::string RandomText(int words, int sentences) {
  std::mt19937 random(words);
  std::string text;
  for (int i = 0; i < sentences; ++i) {
    for (int length = 1 + random() % 9; length > 0; --length) {
      absl::StrAppend(&text, "w", std::min(random() % words, random() % words),
                      " ");
    }
    text += "\n";
  }
  return text;
}

// Expects that the distribution after every context of a model sums to 1. The
// contexts are all n-grams, each after an unseen word or after <s>.
void ExpectSumsToOne(const NgramModel& model) {
  const Vocabulary& vocabulary = model.vocabulary();
  std::vector<std::byte> state(model.state_size());
  std::vector<float> log_probs(vocabulary.size());
  double worst = 0;
  for (int k = 1; k <= model.order(); ++k) {
    model.ForEach(k, [&](const NgramModel::Ngram& ngram) {
      model.Start(state.data());
      const bool starts = ngram.words[0] == vocabulary.begin_sentence();
      if (!starts) model.ScoreWord(state.data(), vocabulary.unknown());
      for (WordId word : ngram.words.subspan(starts)) {
        model.ScoreWord(state.data(), word);
      }
      model.Distribution({state.data()}, log_probs.data());
      double sum = 0;
      for (float log_prob : log_probs) sum += std::exp(double{log_prob});
      worst = std::max(worst, std::abs(sum - 1));
    });
  }
  EXPECT_LT(worst, 5e-6);
}

struct SumCase {
  std::string method;
  std::vector<uint32_t> prune;
};

class SumTest : public testing::TestWithParam<SumCase> {};

TEST_P(SumTest, IsOneInEveryContext) {
  const std::string text = RandomText(8, 150);
  for (int order : {1, 2, 3, 5, 8}) {
    SCOPED_TRACE(order);
    ExpectSumsToOne(
        *TrainModel(text, order, Options(GetParam().method, GetParam().prune))
             .model);
  }
}

// If the text contains <unk>, every word may follow a context, so no unseen
// word gets the leftover.
TEST_P(SumTest, IsOneIfAllWordsWereSeen) {
  const char* const text =
      "a a <unk> a a b <unk> <unk> b b a\nb <unk>\na\n<unk>\na b\na b\na\na\n";
  for (int order : {1, 2, 3}) {
    SCOPED_TRACE(order);
    ExpectSumsToOne(
        *TrainModel(text, order, Options(GetParam().method, GetParam().prune))
             .model);
  }
}

TEST_P(SumTest, IsOneAfterRealSentences) {
  ExpectSumsToOne(*TrainModel(DemoText(60, 6), 4,
                              Options(GetParam().method, GetParam().prune))
                       .model);
}

INSTANTIATE_TEST_SUITE_P(
    Methods, SumTest,
    testing::Values(SumCase{"modified-kneser-ney", {}},
                    SumCase{"modified-kneser-ney", {0, 0, 1}},
                    SumCase{"modified-kneser-ney", {0, 1, 2, 3}},
                    SumCase{"witten-bell", {}},
                    SumCase{"witten-bell", {0, 1, 2}}, SumCase{"katz", {}},
                    SumCase{"katz", {0, 0, 1}}, SumCase{"katz", {0, 2}},
                    SumCase{"additive", {}}, SumCase{"additive", {0, 1}},
                    SumCase{"maximum-likelihood", {}},
                    SumCase{"maximum-likelihood", {0, 1}}),
    [](const auto& info) {
      std::string name = absl::StrCat(info.param.method, " ",
                                      absl::StrJoin(info.param.prune, ""));
      std::replace_if(
          name.begin(), name.end(), [](char c) { return !std::isalnum(c); },
          '_');
      return name;
    });

// A vocabulary with words that do not occur in the text.
TEST(Estimate, UnseenWordsShareTheLeftover) {
  const TrainedNgramModel trained = TrainModel("a\n", 1, Options("katz"));
  // "a" and "</s>" each have 1 of 3 counts; the third is for unseen words.
  EXPECT_NEAR(Probability(*trained.model, "", "never"), 1.0 / 3, 1e-7);
}

}  // namespace
}  // namespace lmserve
