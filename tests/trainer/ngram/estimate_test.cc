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

// P(word | context), the context after <s> unless it begins with a word that
// nothing follows.
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

// By hand. Of the bigrams, "a" has the words b (4), d (2) and c (1) after it;
// the counts 1 to 4 come 2, 2, 0 and 2 times, so that the discounts 0.5, 1 and
// 1.5 stand in. Of the words, </s> has 3 words before it, a, b, c and d one
// each; the same discounts stand in.
constexpr char kText[] = "a b\na b\na b\na b\na c\na d\na d\n";

// What order 1 gives of what is left to all of <unk> </s> a b c d: 7 words
// before others, 4 * 0.5 + 1.5 of them discounted.
constexpr double kLeft = 0.5 / 6;
constexpr double kOnce = 0.5 / 7 + kLeft;    // a, b, c, d
constexpr double kThrice = 1.5 / 7 + kLeft;  // </s>
constexpr char kFresh[] = "<unk>";           // a context that tells nothing

TEST(ModifiedKneserNey, UnigramsByHand) {
  const TrainedNgramModel trained = TrainModel(kText, 2);
  const NgramModel& model = *trained.model;
  for (const char* word : {"a", "b", "c", "d"}) {
    EXPECT_NEAR(Probability(model, kFresh, word), kOnce, 1e-7) << word;
  }
  EXPECT_NEAR(Probability(model, kFresh, "</s>"), kThrice, 1e-7);
}

// Trap 5: |V| holds <unk> and </s>, not <s>; <unk> gets its part of what is
// left, no more.
TEST(ModifiedKneserNey, UnknownWordByHand) {
  const TrainedNgramModel trained = TrainModel(kText, 2);
  EXPECT_NEAR(Probability(*trained.model, kFresh, "never"), kLeft, 1e-8);
}

// Trap 4: b, seen four times, counts among those of 3 or more.
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

// Trap 2: a small text is trained on all the same, and the notes tell how.
TEST(ModifiedKneserNey, FallsBackAloud) {
  EXPECT_THAT(TrainModel(kText, 2).notes,
              testing::ElementsAre("order 1: no n-gram has the count 2; the "
                                   "discounts 0.5 1 1.5 stand in",
                                   "order 2: no n-gram has the count 3; the "
                                   "discounts 0.5 1 1.5 stand in"));
}

// Trap 3: the line that comes last counts as any other. Its new word, three
// times after one other, would enter the counts of counts as 3, not 1.
TEST(ModifiedKneserNey, DiscountsDoNotDependOnTheOrderOfLines) {
  const std::string text = DemoText(2000, 3);
  const std::string line = "the zebra the zebra the zebra\n";
  const TrainedNgramModel last = TrainModel(text + line, 3);
  const TrainedNgramModel first = TrainModel(line + text, 3);
  EXPECT_THAT(last.notes, Each(HasSubstr(": discounts ")));
  EXPECT_EQ(last.notes, first.notes);
}

// Trap 3: every n-gram counts, with its adjusted count, the last one too.
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

// Trap 6: <s> is no event: it has no probability, and no part in any sum.
TEST(Estimate, BeginSentenceHasNoProbability) {
  for (absl::string_view method : SmoothingMethods()) {
    const Estimate estimate =
        EstimateModel(CountsOf(kText, 2), Options(std::string(method))).value();
    const NgramLevel& unigrams = estimate.table.levels[0];
    double sum = 0;
    for (float log_prob : unigrams.log_probs) sum += std::exp(log_prob);
    EXPECT_EQ(unigrams.log_probs[1], -INFINITY) << method;
    if (method == "stupid-back-off") continue;  // gives no probabilities
    EXPECT_NEAR(sum, 1, 1e-6) << method;
  }
}

// Trap 8: no n-gram is pruned unless asked for, as SRILM does with those of
// order 3 and more seen once.
TEST(Estimate, KeepsAllByDefault) {
  const std::string text = DemoText(200, 4);
  const NgramCounts counts = CountsOf(text, 4);
  const TrainedNgramModel trained = TrainModel(text, 4);
  for (int k = 1; k <= 4; ++k) {
    EXPECT_EQ(trained.model->Count(k), counts.levels[k - 1].size());
  }
}

// Trap 7: shares and discounts as before; what "a c" had goes to the rest.
TEST(Pruning, TheRestGetsTheShares) {
  const TrainedNgramModel trained = TrainModel(kText, 2, Pruned({0, 1}));
  const NgramModel& model = *trained.model;
  EXPECT_EQ(trained.notes, TrainModel(kText, 2).notes);
  const double left = (0.5 + 1 + 1.5 + 0.5) / 7;
  EXPECT_NEAR(Probability(model, "a", "b"), 2.5 / 7 + left * kOnce, 1e-7);
  EXPECT_NEAR(Probability(model, "a", "c"), left * kOnce, 1e-7);
  // Nothing is left after c: it costs nothing to back off.
  EXPECT_NEAR(Probability(model, "never c", "</s>"), kThrice, 1e-7);
}

// Trap 7: "x y z" stands twice in the text, after one word alone: adjusted
// counts are 1, the actual ones 2.
TEST(Pruning, ComparesActualCounts) {
  const std::string text = "w x y z\nw x y z\nw\n";
  const auto count = [&](std::vector<uint32_t> prune) {
    std::vector<size_t> sizes;
    const TrainedNgramModel trained = TrainModel(text, 3, Pruned(prune));
    for (int k = 1; k <= 3; ++k) sizes.push_back(trained.model->Count(k));
    return sizes;
  };
  using testing::ElementsAre;
  // "w </s>" and "<s> w </s>" stand once.
  EXPECT_THAT(count({}), ElementsAre(7, 6, 5));
  EXPECT_THAT(count({0, 1}), ElementsAre(7, 5, 4));
  EXPECT_THAT(count({0, 0, 1}), ElementsAre(7, 6, 4));
  EXPECT_THAT(count({0, 2}), ElementsAre(7, 1, 0));  // "<s> w", thrice
  EXPECT_THAT(count({0, 2, 3}), ElementsAre(7, 1, 0));
}

// Trap 7: words stay, however rare; <s>, </s> and <unk> among them.
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

// Trap 7: else n-grams would lose their suffixes.
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

// Every context of a model: each n-gram after a word that was never seen, or
// else after <s>. Expects that its distribution sums to 1.
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

// Where <unk> stands in the text, too, a context may have been seen with every
// word there is: none is left to take what smoothing leaves.
TEST_P(SumTest, IsOneWhereAllWordsWereSeen) {
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

// With words known that the text lacks.
TEST(Estimate, WordsNeverSeenShareWhatIsLeft) {
  const TrainedNgramModel trained = TrainModel("a\n", 1, Options("katz"));
  // "a" and "</s>" have 1 of 3 each: one more count is for the unseen.
  EXPECT_NEAR(Probability(*trained.model, "", "never"), 1.0 / 3, 1e-7);
}

}  // namespace
}  // namespace lmserve
