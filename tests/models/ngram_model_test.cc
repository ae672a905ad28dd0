#include "models/ngram/ngram_model.h"

#include <cmath>
#include <limits>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/ngram_models.h"

namespace lmserve {
namespace {

constexpr double kLn10 = 2.302585092994045684;

class TinyModelTest : public testing::Test {
 protected:
  // log10 P of each word and of </s>.
  std::vector<double> Score(std::vector<absl::string_view> words) {
    words.push_back("</s>");
    std::vector<std::byte> state(model_.state_size());
    model_.Start(state.data());
    std::vector<double> scores;
    for (absl::string_view word : words) {
      const WordId id = model_.vocabulary().Find(word);
      scores.push_back(model_.ScoreWord(state.data(), id).log_prob / kLn10);
    }
    return scores;
  }

  const BuiltNgramModel built_ = BuildFromArpa(TinyArpa());
  const NgramModel& model_ = *built_.model;
};

MATCHER_P(IsNear, expected, "") {
  return std::abs(testing::get<0>(std::make_tuple(arg)) - expected) < 1e-5;
}

TEST_F(TinyModelTest, LongestMatchAndBackOffs) {
  using testing::ElementsAre;
  EXPECT_THAT(Score({"the", "cat", "is", "small"}),
              ElementsAre(IsNear(-0.3), IsNear(-0.18), IsNear(-0.22),
                          IsNear(-0.17), IsNear(-0.21)));
  // "<s> a" and "a" back off; "a cat" is no bigram, "cat" is.
  EXPECT_THAT(Score({"a", "cat"}),
              ElementsAre(IsNear(-0.6), IsNear(-0.45 + -0.2 + -1.0),
                          IsNear(-0.25 + -0.9)));
}

}  // namespace
}  // namespace lmserve
