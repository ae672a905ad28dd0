// SPDX-License-Identifier: Apache-2.0
#include "trainer/ngram/smoothing.h"

#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::DoubleEq;
using testing::ElementsAre;
using testing::HasSubstr;

// How many n-grams have the counts 0 to 7.
constexpr CountsOfCounts kRegular = {0, 600, 200, 100, 60, 40, 25, 18};

std::unique_ptr<Smoothing> Make(const std::string& method) {
  SmoothingOptions options;
  options.method = method;
  options.delta = 0.5;
  options.vocabulary = 10;
  return MakeSmoothing(options).value();
}

std::vector<double> Share(const Smoothing& smoothing,
                          const std::vector<uint32_t>& counts, int order = 1) {
  std::vector<double> shares(counts.size(), -1);
  smoothing.Share(order, counts, absl::MakeSpan(shares));
  return shares;
}

std::vector<double> FitAndShare(const std::string& method,
                                const CountsOfCounts& counts_of_counts,
                                const std::vector<uint32_t>& counts) {
  const std::unique_ptr<Smoothing> smoothing = Make(method);
  smoothing->Fit(1, counts_of_counts);
  return Share(*smoothing, counts);
}

// Y = 600 / (600 + 400) = 0.6.
TEST(KneserNeyDiscounts, ChenAndGoodman) {
  EXPECT_THAT(KneserNeyDiscounts(kRegular).value(),
              ElementsAre(DoubleEq(1 - 2 * 0.6 * 200 / 600),
                          DoubleEq(2 - 3 * 0.6 * 100 / 200),
                          DoubleEq(3 - 4 * 0.6 * 60 / 100)));
}

// n4 may be 0.
TEST(KneserNeyDiscounts, NoCountOfFour) {
  CountsOfCounts counts = kRegular;
  counts[4] = 0;
  EXPECT_EQ(KneserNeyDiscounts(counts).value()[2], 3);
}

struct BadCounts {
  CountsOfCounts counts;
  std::string message;
};

class BadCountsTest : public testing::TestWithParam<BadCounts> {};

// Counts of counts for which the discounts are not defined.
TEST_P(BadCountsTest, HaveNoDiscounts) {
  const absl::Status status = KneserNeyDiscounts(GetParam().counts).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(status.message(), GetParam().message);
}

// Then all three discounts are replaced by 0.5, 1 and 1.5, and a note says so.
TEST_P(BadCountsTest, UseTheFallbackWithANote) {
  const std::unique_ptr<Smoothing> smoothing = Make("modified-kneser-ney");
  EXPECT_THAT(smoothing->Fit(1, GetParam().counts),
              testing::AllOf(HasSubstr("order 1: " + GetParam().message),
                             HasSubstr("using the discounts 0.5 1 1.5")));
  EXPECT_THAT(Share(*smoothing, {1, 2, 3, 4}),
              ElementsAre(0.05, 0.1, 0.15, 0.25));
}

INSTANTIATE_TEST_SUITE_P(
    Counts, BadCountsTest,
    testing::Values(
        BadCounts{{0, 0, 200, 100, 60}, "no n-gram has the count 1"},
        BadCounts{{0, 600, 0, 100, 60}, "no n-gram has the count 2"},
        BadCounts{{0, 600, 200, 0, 60}, "no n-gram has the count 3"},
        BadCounts{{}, "no n-gram has the count 1"},
        // Y = 0.2: D2 = 2 - 3 * 0.2 * 40 / 10; D3+ = 3 - 4 * 0.2 * 80 / 16.
        BadCounts{{0, 5, 10, 40, 1},
                  "the discount for a count of 2 would be -0.4"},
        BadCounts{{0, 5, 10, 16, 80},
                  "the discount for a count of 3 would be -1"}));

// Only the order that fails uses the fallback.
TEST(ModifiedKneserNey, EachOrderHasItsDiscounts) {
  const std::unique_ptr<Smoothing> smoothing = Make("modified-kneser-ney");
  EXPECT_EQ(smoothing->Fit(1, kRegular), "order 1: discounts 0.6 1.1 1.56");
  EXPECT_THAT(smoothing->Fit(2, {}), HasSubstr("using the discounts"));
  EXPECT_EQ(smoothing->Fit(3, kRegular), "order 3: discounts 0.6 1.1 1.56");
  EXPECT_THAT(Share(*smoothing, {1}, 1), ElementsAre(DoubleEq(0.4)));
  EXPECT_THAT(Share(*smoothing, {1}, 2), ElementsAre(DoubleEq(0.5)));
  EXPECT_THAT(Share(*smoothing, {1}, 3), ElementsAre(DoubleEq(0.4)));
}

// D3+ applies to every count of 3 or more; counts of 0 are not discounted. The
// counts sum to 20.
TEST(ModifiedKneserNey, DiscountsByCount) {
  EXPECT_THAT(FitAndShare("modified-kneser-ney", kRegular, {1, 0, 2, 3, 4, 10}),
              ElementsAre(DoubleEq(0.4 / 20), 0.0, DoubleEq(0.9 / 20),
                          DoubleEq(1.44 / 20), DoubleEq(2.44 / 20),
                          DoubleEq(8.44 / 20)));
}

TEST(ModifiedKneserNey, TakesAdjustedCounts) {
  for (absl::string_view method : SmoothingMethods()) {
    EXPECT_EQ(Make(std::string(method))->adjusts_counts(),
              method == "modified-kneser-ney")
        << method;
  }
}

// c / (N + T), where T = 3 is the number of words seen.
TEST(WittenBell, ByHand) {
  EXPECT_THAT(FitAndShare("witten-bell", kRegular, {4, 0, 1, 2}),
              ElementsAre(0.4, 0.0, 0.1, 0.2));
}

// (c + 0.5) / (N + 0.5 * 10), also for unseen words.
TEST(Additive, ByHand) {
  EXPECT_THAT(FitAndShare("additive", kRegular, {4, 0, 1}),
              ElementsAre(0.45, 0.05, 0.15));
}

TEST(RelativeFrequencies, ByHand) {
  for (const char* method : {"maximum-likelihood", "stupid-back-off"}) {
    EXPECT_THAT(FitAndShare(method, kRegular, {5, 0, 3}),
                ElementsAre(0.625, 0.0, 0.375))
        << method;
  }
}

// Good and Turing: r* = (r + 1) n[r + 1] / n[r]; A = 6 * 25 / 600 = 0.25;
// d = (r* / r - A) / (1 - A).
TEST(Katz, DiscountsUpToFive) {
  const double a = 0.25;
  const double d1 = (2 * 200.0 / 600 / 1 - a) / (1 - a);
  const double d2 = (3 * 100.0 / 200 / 2 - a) / (1 - a);
  const double d5 = (6 * 25.0 / 40 / 5 - a) / (1 - a);
  EXPECT_THAT(FitAndShare("katz", kRegular, {1, 2, 0, 5, 6, 6}),
              ElementsAre(DoubleEq(d1 * 1 / 20), DoubleEq(d2 * 2 / 20), 0.0,
                          DoubleEq(d5 * 5 / 20), DoubleEq(6 / 20.0),
                          DoubleEq(6 / 20.0)));
}

TEST(Katz, NoNoteForRegularCounts) {
  EXPECT_EQ(Make("katz")->Fit(1, kRegular), "");
}

struct KatzCase {
  CountsOfCounts counts;
  int limit;
};

class KatzFallbackTest : public testing::TestWithParam<KatzCase> {};

// Fewer counts are discounted if the counts of counts give no valid factor.
TEST_P(KatzFallbackTest, SaysSo) {
  const std::unique_ptr<Smoothing> smoothing = Make("katz");
  EXPECT_EQ(
      smoothing->Fit(4, GetParam().counts),
      "order 4: the counts of counts allow Good-Turing discounts only up to a "
      "count of " +
          std::to_string(GetParam().limit) + ", not 5");
}

INSTANTIATE_TEST_SUITE_P(
    Counts, KatzFallbackTest,
    testing::Values(KatzCase{{0, 600, 200, 100, 0, 0, 0}, 2},
                    KatzCase{{0, 600, 200, 100, 60, 0, 25}, 3},
                    KatzCase{{0, 600, 0, 100, 60, 40, 25}, 0},
                    // The factor 2 n2 / n1 = 4 would be greater than 1.
                    KatzCase{{0, 100, 200, 100, 60, 40, 25}, 0},
                    KatzCase{{}, 0}));

// If no count is discounted, one count is reserved for unseen words.
TEST(Katz, AllCountsFrequent) {
  EXPECT_THAT(FitAndShare("katz", kRegular, {6, 13}), ElementsAre(0.3, 0.65));
  EXPECT_THAT(FitAndShare("katz", {}, {1, 2}), ElementsAre(0.25, 0.5));
}

TEST(Smoothing, SharesSumToOneAtMost) {
  for (absl::string_view method : SmoothingMethods()) {
    const std::vector<double> shares =
        FitAndShare(std::string(method), kRegular, {1, 1, 2, 3, 5, 8, 13});
    const double sum = std::accumulate(shares.begin(), shares.end(), 0.0);
    EXPECT_LE(sum, 1 + 1e-15) << method;
    EXPECT_GT(sum, 0.5) << method;
  }
}

struct BadOption {
  SmoothingOptions options;
  std::string message;
};

class BadOptionTest : public testing::TestWithParam<BadOption> {};

TEST_P(BadOptionTest, IsRefused) {
  const absl::Status status = MakeSmoothing(GetParam().options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr(GetParam().message));
}

SmoothingOptions Method(std::string name) {
  SmoothingOptions options;
  options.method = std::move(name);
  return options;
}
SmoothingOptions Additive(double delta) { return {"additive", delta}; }
SmoothingOptions Stupid(double alpha) { return {"stupid-back-off", 1, alpha}; }

constexpr double kInfinity = std::numeric_limits<double>::infinity();

INSTANTIATE_TEST_SUITE_P(
    Options, BadOptionTest,
    testing::Values(
        BadOption{Method("kneser"), "modified-kneser-ney, found 'kneser'"},
        BadOption{Method(""), "found ''"},
        BadOption{Additive(0), "delta: expected a positive number, found 0"},
        BadOption{Additive(-1), "delta"},
        BadOption{Additive(std::nan("")), "delta"},
        BadOption{Additive(kInfinity), "delta"},
        BadOption{Stupid(0), "alpha: expected a number in (0, 1], found 0"},
        BadOption{Stupid(1.01), "alpha"},
        BadOption{Stupid(std::nan("")), "alpha"}));

}  // namespace
}  // namespace lmserve
