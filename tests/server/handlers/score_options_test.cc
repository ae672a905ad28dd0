// SPDX-License-Identifier: Apache-2.0
//
// keep_going, include_begin and ngram_lengths of Score, with models of every
// kind.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/text.h"
#include "tests/server/handlers/score_fixture.h"
#include "tests/testing/status_text.h"

namespace lmserve {
namespace {

using lm::v1::ScoreRequest;
using lm::v1::ScoreResponse;
using lm::v1::TextScore;
using testing::AllOf;
using testing::ElementsAre;
using testing::ElementsAreArray;
using testing::HasSubstr;
using testing::StartsWith;

class ScoreOptionsTest : public ScoreFixture {
 protected:
  static bool IsNgram() {
    return GetParam() == std::string("tiny") ||
           GetParam() == std::string("flat");
  }

  // A request of which texts 1, 3 and 4 break a rule.
  ScoreRequest WithBrokenTexts() const {
    ScoreRequest request = Request(
        GetParam(), {"the cat is", "a <s> dog", "", "word", "id", "a zebra"});
    request.mutable_texts(3)->mutable_words()->add_words("two words");
    request.mutable_texts(4)->mutable_ids()->add_ids(1'000'000);
    return request;
  }

  // Keeps the texts with these indexes, and their sources.
  static ScoreRequest Only(const std::vector<int>& indexes,
                           const ScoreRequest& request) {
    ScoreRequest kept = request;
    kept.clear_texts();
    kept.clear_sources();
    kept.set_keep_going(false);
    for (int i : indexes) {
      *kept.add_texts() = request.texts(i);
      if (!request.sources().empty()) *kept.add_sources() = request.sources(i);
    }
    return kept;
  }
};

INSTANTIATE_TEST_SUITE_P(Models, ScoreOptionsTest, kModelsOfEveryKind,
                         NameOfModel);

TEST_P(ScoreOptionsTest, ABrokenTextFailsAlone) {
  ScoreRequest request = WithBrokenTexts();
  EXPECT_EQ(TryScore(request).status().code(),
            absl::StatusCode::kInvalidArgument);
  request.set_keep_going(true);
  for (const char* options :
       {"", "per_word: true", "alternatives: 3 ranks: true",
        "ngram_lengths: true", "ngram_lengths: true ranks: true"}) {
    ScoreRequest changed = request;
    changed.MergeFrom(Parse<ScoreRequest>(options));
    if (changed.ngram_lengths() && !IsNgram()) continue;
    const ScoreResponse response = TryScore(changed).value();
    const ScoreResponse alone = TryScore(Only({0, 2, 5}, changed)).value();
    ASSERT_EQ(response.scores_size(), 6);
    for (const auto& [i, same] : {std::pair(0, 0), {2, 1}, {5, 2}}) {
      EXPECT_FALSE(response.scores(i).has_failed());
      EXPECT_EQ(response.scores(i).SerializeAsString(),
                alone.scores(same).SerializeAsString());
    }
    for (const auto& [i, message] :
         {std::pair(1, "texts[1]: word 1: expected no sentence marker"),
          {3, "texts[3]: word 0: expected a word without white space"},
          {4, "texts[4]: id 0: expected a word id below"}}) {
      const TextScore& score = response.scores(i);
      EXPECT_EQ(score.failed().code(), 3);
      EXPECT_THAT(score.failed().message(), StartsWith(message));
      TextScore rest = score;
      rest.clear_failed();
      EXPECT_EQ(rest.ByteSizeLong(), 0) << "all other fields are empty";
    }
  }
}

TEST_P(ScoreOptionsTest, AllTextsMayFail) {
  ScoreRequest request = Only({1, 3}, WithBrokenTexts());
  request.set_keep_going(true);
  const ScoreResponse response = TryScore(request).value();
  EXPECT_EQ(response.model().name(), GetParam());
  ASSERT_EQ(response.scores_size(), 2);
  EXPECT_TRUE(response.scores(0).has_failed());
  EXPECT_TRUE(response.scores(1).has_failed());
}

TEST_P(ScoreOptionsTest, ATextThatIsTooLongFailsAlone) {
  limits_.words_per_text = 3;
  ScoreRequest request = Request(GetParam(), {"a a a a", "a a a"});
  request.set_keep_going(true);
  const ScoreResponse response = TryScore(request).value();
  EXPECT_THAT(response.scores(0).failed().message(),
              StartsWith("texts[0]: expected at most 3 words in a text"));
  EXPECT_EQ(response.scores(1).SerializeAsString(),
            TryScore(Only({1}, request)).value().scores(0).SerializeAsString());
}

TEST_P(ScoreOptionsTest, AnErrorOfTheRequestFailsIt) {
  ScoreRequest request = WithBrokenTexts();
  request.set_keep_going(true);
  limits_.words = 4;
  EXPECT_THAT(TextOf(TryScore(request).status()),
              HasSubstr("RESOURCE_EXHAUSTED: words in the request: expected at "
                        "most 4"));
  limits_ = {.texts = 5};
  EXPECT_THAT(TextOf(TryScore(request).status()),
              HasSubstr("RESOURCE_EXHAUSTED: texts: expected at most 5"));
  limits_ = {};
  request.set_model("none");
  EXPECT_TRUE(absl::IsNotFound(TryScore(request).status()));
}

TEST_F(ScoreOptionsTest, ASourceFailsWithItsText) {
  ScoreRequest request = Request("de-en", {"the cat", "a dog", "a cat"});
  request.set_keep_going(true);
  request.mutable_sources(1)->set_text("");
  request.mutable_texts(2)->set_text("</s>");
  request.mutable_sources(2)->set_text("<s>");
  const ScoreResponse response = TryScore(request).value();
  EXPECT_EQ(response.scores(0).SerializeAsString(),
            TryScore(Only({0}, request)).value().scores(0).SerializeAsString());
  EXPECT_EQ(response.scores(1).failed().message(),
            "sources[1]: expected a word, found none");
  EXPECT_THAT(response.scores(2).failed().message(),
              StartsWith("sources[2]: word 0: expected no sentence marker"));
  // One text and one source.
  EXPECT_EQ(TryScore([&] {
              ScoreRequest one = Only({1}, request);
              one.set_keep_going(true);
              return one;
            }())
                .value()
                .scores(0)
                .failed()
                .message(),
            "sources: expected a word, found none");
  // One source for several texts.
  request.clear_sources();
  request.add_sources();
  EXPECT_EQ(TextOf(TryScore(request).status()),
            "INVALID_ARGUMENT: sources: expected a word, found none");
}

TEST_P(ScoreOptionsTest, WithoutTheBeginning) {
  ScoreRequest request = Request(GetParam(), {"cat the", "", "zebra"});
  request.set_include_begin(false);
  request.set_per_word(true);
  if (!IsNgram()) {
    EXPECT_THAT(
        TextOf(TryScore(request).status()),
        AllOf(StartsWith(absl::StrCat("FAILED_PRECONDITION: include_begin: '",
                                      GetParam(), "' has the family ")),
              HasSubstr(": it cannot score texts without <s>; n-gram "
                        "models and mixtures of n-gram models can")));
    return;
  }
  const ScoreResponse response = TryScore(request).value();
  // Rankings give the same scores.
  request.set_ranks(true);
  const ScoreResponse ranked = TryScore(request).value();
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(response.scores(i).words().log_probs(),
                ElementsAreArray(ranked.scores(i).words().log_probs()));
  }
  if (GetParam() != std::string("tiny")) return;
  EXPECT_THAT(response.scores(0).words().log_probs(),
              ElementsAre(IsNear(Ln({-1.0})), IsNear(Ln({-0.25, -0.7})),
                          IsNear(Ln({-0.3, -0.9}))));
  EXPECT_THAT(response.scores(1).words().log_probs(),
              ElementsAre(IsNear(Ln({-0.9}))));
  EXPECT_THAT(response.scores(2).words().log_probs(),
              ElementsAre(IsNear(Ln({-1.5})), IsNear(Ln({-0.9}))));
}

// An optional field that has its default changes nothing.
TEST_P(ScoreOptionsTest, TheBeginningAndTheEndAreIncludedByDefault) {
  ScoreRequest request = Request(GetParam(), {"the cat", ""});
  const std::string expected = TryScore(request).value().SerializeAsString();
  request.set_include_begin(true);
  request.set_include_end(true);
  EXPECT_EQ(TryScore(request).value().SerializeAsString(), expected);
}

TEST_P(ScoreOptionsTest, LengthsOfNgrams) {
  ScoreRequest request =
      Request(GetParam(), {"the cat is small", "a cat", "", "the zebra"});
  request.set_per_word(true);
  const ScoreResponse plain = TryScore(request).value();
  request.set_per_word(false);
  request.set_ngram_lengths(true);
  if (!IsNgram()) {
    EXPECT_THAT(
        TextOf(TryScore(request).status()),
        AllOf(StartsWith(absl::StrCat("FAILED_PRECONDITION: ngram_lengths: '",
                                      GetParam(), "' has the family ")),
              HasSubstr(": it cannot tell the lengths of n-grams; "
                        "n-gram models can")));
    return;
  }
  for (bool ranks : {false, true}) {
    request.set_ranks(ranks);
    ScoreResponse response = TryScore(request).value();
    if (GetParam() == std::string("tiny")) {
      EXPECT_THAT(response.scores(0).words().ngram_lengths(),
                  ElementsAre(2, 3, 3, 3, 3));
      EXPECT_THAT(response.scores(1).words().ngram_lengths(),
                  ElementsAre(2, 1, 1));
      EXPECT_THAT(response.scores(2).words().ngram_lengths(), ElementsAre(1));
      EXPECT_THAT(response.scores(3).words().ngram_lengths(),
                  ElementsAre(2, 1, 1));
    }
    // The rest is as without lengths.
    for (TextScore& score : *response.mutable_scores()) {
      score.mutable_words()->clear_ngram_lengths();
      score.mutable_words()->clear_ranks();
      score.mutable_words()->clear_entropies();
    }
    EXPECT_EQ(response.SerializeAsString(), plain.SerializeAsString());
  }
}

// A text that is scored in several parts.
TEST_F(ScoreOptionsTest, LengthsOfALongText) {
  std::string text;
  for (int i = 0; i < 1000; ++i) {
    absl::StrAppend(&text, i % 3 == 0 ? "the " : i % 5 == 0 ? "dog " : "cat ");
  }
  ScoreRequest request = Request("tiny", {text});
  request.set_ngram_lengths(true);
  const ScoreResponse response = TryScore(request).value();
  const auto model = store_->Get("tiny").value();
  std::vector<WordId> words;
  for (absl::string_view word : SplitWords(text)) {
    words.push_back(model->model().vocabulary().Find(word));
  }
  words.push_back(model->model().vocabulary().end_sentence());
  const LanguageModel& ngrams = *model->model().left_to_right();
  std::vector<std::byte> state(ngrams.state_size());
  ngrams.Start(state.data());
  std::vector<uint8_t> lengths(words.size());
  ngrams.Score({{state.data(), words, nullptr, {}, absl::MakeSpan(lengths)}});
  EXPECT_THAT(response.scores(0).words().ngram_lengths(),
              ElementsAreArray(lengths));
}

}  // namespace
}  // namespace lmserve
