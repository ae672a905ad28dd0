// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/generation.h"

#include <cmath>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/handlers/score.h"
#include "tests/server/handlers/test_serving_context.h"
#include "tests/server/small_store.h"
#include "tests/testing/status_text.h"

namespace lmserve {
namespace {

using lm::v1::GenerateRequest;
using lm::v1::GenerateResponse;
using lm::v1::ScoreRequest;
using lm::v1::ScoreResponse;
using testing::ElementsAre;

using End = lm::v1::GenerationEnd;

struct Generated {
  std::vector<std::string> words;
  std::vector<double> log_probs;
  std::vector<uint32_t> ids;
  End end;
};

class GenerationTest : public testing::Test {
 protected:
  Generated Generate(const std::string& request) {
    return Generate(Parse<GenerateRequest>(request));
  }

  Generated Generate(const GenerateRequest& request) {
    auto generation = Generation::Start(*serving_, call_, request);
    EXPECT_TRUE(generation.ok()) << generation.status();
    Generated generated;
    GenerateResponse response;
    for (; Wait((*generation)->Next(&response)).value(); response.Clear()) {
      EXPECT_FALSE(generated.end.reason() != 0) << "a message after the end";
      if (response.has_end()) {
        generated.end = response.end();
      } else {
        generated.words.push_back(response.word().word());
        generated.log_probs.push_back(response.word().log_prob());
        generated.ids.push_back(response.word().id());
      }
    }
    return generated;
  }

  // Draws the words of several texts together.
  std::vector<std::string> GenerateTogether(
      const std::vector<std::string>& requests, size_t alternatives) {
    std::vector<std::unique_ptr<Generation>> generations;
    for (const std::string& request : requests) {
      generations.push_back(
          Generation::Start(*serving_, call_, store_->Get("tiny").value(),
                            Parse<GenerateRequest>(request), alternatives)
              .value());
    }
    std::vector<std::string> texts(requests.size());
    std::vector<bool> has_ended(requests.size());
    while (true) {
      std::vector<Generation*> drawing;
      for (size_t i = 0; i < requests.size(); ++i) {
        if (!has_ended[i]) drawing.push_back(generations[i].get());
      }
      if (drawing.empty()) return texts;
      EXPECT_TRUE(Wait(Generation::DrawTogether(drawing)).ok());
      for (size_t i = 0; i < requests.size(); ++i) {
        if (has_ended[i]) continue;
        GenerateResponse response;
        EXPECT_TRUE(Wait(generations[i]->Next(&response)).value());
        CheckBest(*generations[i], alternatives);
        has_ended[i] = response.has_end();
        absl::StrAppend(&texts[i],
                        has_ended[i] ? End::Reason_Name(response.end().reason())
                                     : response.word().word() + " ");
      }
    }
  }

  // Checks the most probable words in the place of the one that was drawn.
  void CheckBest(const Generation& generation, size_t alternatives) {
    EXPECT_EQ(generation.best().size(),
              generation.drawn().has_value() ? alternatives : 0);
    for (const ScoredWord& word : generation.best()) {
      EXPECT_LE(word.log_prob, generation.best()[0].log_prob);
      if (word.word == generation.drawn()->word) {
        EXPECT_EQ(word.log_prob, generation.drawn()->log_prob);
      }
    }
  }

  double LogProb(const std::string& text, bool include_end) {
    ScoreRequest request;
    request.set_model("tiny");
    request.add_texts()->set_text(text);
    request.set_include_end(include_end);
    ScoreResponse response;
    EXPECT_TRUE(serving_.Answer(HandleScore, request, &response).ok());
    return response.scores(0).log_prob();
  }

  // Counts how often each word of the tiny model comes first, by id, over many
  // seeds.
  std::vector<int> CountFirstWords(GenerateRequest request, int draws) {
    std::vector<int> counts(10);
    request.set_max_words(1);
    for (int i = 0; i < draws; ++i) {
      request.set_seed(i);
      const Generated generated = Generate(request);
      ++counts[generated.ids.empty() ? 2 : generated.ids[0]];  // or </s>
    }
    return counts;
  }

  const SmallStore files_;
  const std::unique_ptr<const ModelStore> store_ = files_.Open();
  const Limits limits_ = {};
  const TestServing serving_{*store_, limits_};
  Call call_;
};

TEST_F(GenerationTest, TextsThatAreDrawnTogetherAreThoseThatAreDrawnAlone) {
  const std::vector<std::string> requests = {
      "model: 'tiny' seed: 1",
      "model: 'tiny' seed: 2 max_words: 2 prompt { text: 'the cat' }",
      "model: 'tiny' temperature: 0 prompt { text: 'a' }",
      "model: 'tiny' seed: 3 top_k: 2 repetition_penalty: 2",
      "model: 'tiny' seed: 4 top_p: 0.5 stop_words: 'cat'"};
  std::vector<std::string> alone;
  for (const std::string& request : requests) {
    const Generated text = Generate(request);
    std::string& words = alone.emplace_back();
    for (const std::string& word : text.words)
      absl::StrAppend(&words, word, " ");
    words += End::Reason_Name(text.end.reason());
  }
  EXPECT_EQ(GenerateTogether(requests, 0), alone);
  EXPECT_EQ(GenerateTogether(requests, 3), alone);
  // These need only the best words.
  EXPECT_EQ(GenerateTogether({requests[2], requests[3]}, 0),
            (std::vector{alone[2], alone[3]}));
  EXPECT_EQ(GenerateTogether({requests[2], requests[3]}, 5),
            (std::vector{alone[2], alone[3]}));
}

TEST_F(GenerationTest, TemperatureZeroTakesTheBestWords) {
  const Generated text = Generate("model: 'tiny' temperature: 0 seed: 7");
  EXPECT_THAT(text.words, ElementsAre("the", "cat", "is", "small"));
  EXPECT_THAT(text.ids, ElementsAre(3, 5, 7, 8));
  EXPECT_THAT(text.log_probs,
              ElementsAre(IsNear(Ln({-0.3})), IsNear(Ln({-0.18})),
                          IsNear(Ln({-0.22})), IsNear(Ln({-0.17}))));
  EXPECT_EQ(text.end.reason(), End::REASON_END_OF_SENTENCE);
  EXPECT_EQ(text.end.word_count(), 4);
  EXPECT_THAT(text.end.log_prob(),
              IsNear(Ln({-0.3, -0.18, -0.22, -0.17, -0.21})));
  EXPECT_EQ(text.end.seed(), 7);
}

TEST_F(GenerationTest, ContinuesThePrompt) {
  const Generated text =
      Generate("model: 'tiny' temperature: 0 prompt { text: 'the cat' }");
  EXPECT_THAT(text.words, ElementsAre("is", "small"));
  EXPECT_THAT(text.end.log_prob(), IsNear(Ln({-0.22, -0.17, -0.21})));
}

TEST_F(GenerationTest, OnlyTheFirstMessageNamesTheModel) {
  auto generation = Generation::Start(
      *serving_, call_,
      Parse<GenerateRequest>("model: 'tiny@stable' temperature: 0"));
  GenerateResponse first, second;
  ASSERT_TRUE(Wait((*generation)->Next(&first)).value());
  ASSERT_TRUE(Wait((*generation)->Next(&second)).value());
  EXPECT_EQ(first.model().name(), "tiny");
  EXPECT_EQ(first.model().version(), 1);
  EXPECT_FALSE(second.has_model());
}

TEST_F(GenerationTest, NothingComesAfterTheEnd) {
  auto generation = Generation::Start(*serving_, call_,
                                      Parse<GenerateRequest>("model: 'mute'"));
  GenerateResponse response;
  ASSERT_TRUE(Wait((*generation)->Next(&response)).value());
  EXPECT_TRUE(response.has_end());
  EXPECT_TRUE(response.has_model());
  response.Clear();
  EXPECT_FALSE(Wait((*generation)->Next(&response)).value());
  EXPECT_EQ(response.ByteSizeLong(), 0);
}

TEST_F(GenerationTest, TheWordsOfAllCallsHaveALimit) {
  Limits limits;
  limits.all_generated_words = 10;
  const TestServing serving(*store_, limits);
  const auto start = [&](int max_words) {
    return Generation::Start(*serving, call_,
                             Parse<GenerateRequest>(absl::StrCat(
                                 "model: 'tiny' max_words: ", max_words)));
  };
  auto first = start(6);
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(start(5).status().message(),
            "max_words: 5 requested, 6 of 10 used by other calls");
  EXPECT_TRUE(start(4).ok());
  first->reset();
  EXPECT_TRUE(start(10).ok());
}

struct EndCase {
  const char* request;
  End::Reason reason;
  const char* words;
  double log10;
};

TEST_F(GenerationTest, Ends) {
  const EndCase cases[] = {
      {"model: 'tiny' temperature: 0 max_words: 2", End::REASON_MAX_WORDS,
       "the cat", -0.3 + -0.18},
      // The next word would be </s>; the limit comes first.
      {"model: 'tiny' temperature: 0 max_words: 4", End::REASON_MAX_WORDS,
       "the cat is small", -0.3 + -0.18 + -0.22 + -0.17},
      {"model: 'tiny' temperature: 0 max_words: 5", End::REASON_END_OF_SENTENCE,
       "the cat is small", -0.3 + -0.18 + -0.22 + -0.17 + -0.21},
      {"model: 'tiny' temperature: 0 stop_words: ['dog', 'is']",
       End::REASON_STOP_WORD, "the cat", -0.3 + -0.18},
      {"model: 'tiny' temperature: 0 stop_words: 'the'", End::REASON_STOP_WORD,
       "", 0},
      // A stop word that the model does not know does not stop at <unk>.
      {"model: 'mute' allow_unknown: true max_words: 2 stop_words: 'zebra'",
       End::REASON_MAX_WORDS, "<unk> <unk>", -0.1 + -0.1},
      {"model: 'mute' allow_unknown: true stop_words: '<unk>'",
       End::REASON_STOP_WORD, "", 0},
      // Stop words in the prompt have no effect.
      {"model: 'tiny' temperature: 0 prompt { text: 'the' } stop_words: 'the'",
       End::REASON_END_OF_SENTENCE, "cat is small",
       -0.18 + -0.22 + -0.17 + -0.21},
      {"model: 'mute'", End::REASON_NO_WORD, "", 0},
      {"model: 'mute' temperature: 0", End::REASON_NO_WORD, "", 0},
      {"model: 'mute' top_k: 3 top_p: 0.5", End::REASON_NO_WORD, "", 0},
  };
  for (const EndCase& expected : cases) {
    const Generated text = Generate(expected.request);
    EXPECT_EQ(text.end.reason(), expected.reason) << expected.request;
    EXPECT_EQ(absl::StrJoin(text.words, " "), expected.words)
        << expected.request;
    EXPECT_EQ(text.end.word_count(), text.words.size()) << expected.request;
    EXPECT_THAT(text.end.log_prob(), IsNear(Ln({expected.log10})))
        << expected.request;
  }
}

TEST_F(GenerationTest, AHundredWordsByDefault) {
  const Generated text = Generate("model: 'endless'");
  EXPECT_EQ(text.words.size(), 100);
  EXPECT_EQ(text.end.reason(), End::REASON_MAX_WORDS);
}

TEST_F(GenerationTest, EqualSeedsGiveEqualWords) {
  const std::string request = "model: 'endless' max_words: 64 seed: ";
  const Generated text = Generate(request + "42");
  EXPECT_EQ(Generate(request + "42").words, text.words);
  // Two random texts of 64 words are equal with a probability of 2^-64.
  EXPECT_NE(Generate(request + "43").words, text.words);
}

TEST_F(GenerationTest, ARandomSeedIsReturned) {
  const Generated text = Generate("model: 'endless' max_words: 64");
  EXPECT_EQ(Generate(absl::StrCat("model: 'endless' max_words: 64 seed: ",
                                  text.end.seed()))
                .words,
            text.words);
  EXPECT_NE(Generate("model: 'endless' max_words: 64").words, text.words);
}

TEST_F(GenerationTest, LogProbEqualsThatOfScore) {
  for (int seed = 0; seed < 200; ++seed) {
    // Options of the sampler do not change the log-probabilities.
    const Generated text = Generate(
        absl::StrCat("model: 'tiny' max_words: 6 prompt { text: 'the' } "
                     "temperature: 1.7 top_k: 7 top_p: 0.95 "
                     "repetition_penalty: 1.5 seed: ",
                     seed));
    const bool ended = text.end.reason() != End::REASON_MAX_WORDS;
    EXPECT_THAT(
        text.end.log_prob() + LogProb("the", /*include_end=*/false),
        IsNear(LogProb(absl::StrCat("the ", absl::StrJoin(text.words, " ")),
                       ended)));
  }
}

// Options of the sampler, and the odds that each word comes first, by id:
// log10, or 0 if the word never comes first. The sums are those of TinyArpa().
constexpr double kNever = -1e9;

struct DrawCase {
  const char* name;
  const char* request;
  std::vector<double> log10_odds;
};

class DrawTest : public GenerationTest,
                 public testing::WithParamInterface<DrawCase> {};

// A chi-squared test over fixed seeds. A correct sampler fails it for one in a
// thousand choices of the seeds; for these it passes.
TEST_P(DrawTest, HasTheExactFrequencies) {
  constexpr int kDraws = 20'000;
  // The 0.999 quantiles of chi-squared, by degrees of freedom.
  constexpr double kQuantiles[] = {0,     10.83, 13.82, 16.27, 18.47,
                                   20.52, 22.46, 24.32, 26.12, 27.88};
  const std::vector<double>& log10_odds = GetParam().log10_odds;
  double total = 0;
  for (double odds : log10_odds) total += std::pow(10, odds);
  const std::vector<int> counts =
      CountFirstWords(Parse<GenerateRequest>(GetParam().request), kDraws);
  double chi_squared = 0;
  int words = 0;
  for (size_t w = 0; w < counts.size(); ++w) {
    if (log10_odds[w] == kNever) {
      EXPECT_EQ(counts[w], 0) << "word " << w;
      continue;
    }
    const double expected = kDraws * std::pow(10, log10_odds[w]) / total;
    chi_squared += (counts[w] - expected) * (counts[w] - expected) / expected;
    ++words;
  }
  EXPECT_LT(chi_squared, kQuantiles[words - 1]);
}

INSTANTIATE_TEST_SUITE_P(
    FirstWords, DrawTest,
    testing::Values(
        // <unk> <s> </s> the a cat dog is small barks, after <s>
        DrawCase{
            "Exact",
            "model: 'tiny'",
            {kNever, kNever, -1.3, -0.3, -0.6, -1.4, -1.5, -1.6, -1.7, -1.8}},
        DrawCase{
            "Unknown",
            "model: 'tiny' allow_unknown: true",
            {-1.9, kNever, -1.3, -0.3, -0.6, -1.4, -1.5, -1.6, -1.7, -1.8}},
        DrawCase{"Hot",
                 "model: 'tiny' temperature: 2",
                 {kNever, kNever, -0.65, -0.15, -0.3, -0.7, -0.75, -0.8, -0.85,
                  -0.9}},
        DrawCase{"TopK",
                 "model: 'tiny' top_k: 3",
                 {kNever, kNever, -1.3, -0.3, -0.6, kNever, kNever, kNever,
                  kNever, kNever}},
        // The probability of "the" is 0.54; with "a" it is 0.80.
        DrawCase{"TopP",
                 "model: 'tiny' top_p: 0.7",
                 {kNever, kNever, kNever, -0.3, -0.6, kNever, kNever, kNever,
                  kNever, kNever}},
        // After "<s> the": the back-off weights are 0.05 and 0.3, and "the" has
        // the repetition penalty.
        DrawCase{"Penalty",
                 "model: 'tiny' prompt { text: 'the' } repetition_penalty: 10",
                 {kNever, kNever, -1.25, -1.05 - 1, -1.15, -0.18, -0.55, -1.55,
                  -1.65, -1.75}},
        // The three best words after the penalty: "the" is no longer behind
        // "small".
        DrawCase{"PenaltyThenTopK",
                 "model: 'tiny' prompt { ids { ids: [3, 3] } } top_k: 3 "
                 "repetition_penalty: 0.001",
                 {kNever, kNever, kNever, -0.3 + -0.7 + 3, kNever, -0.35, -0.5,
                  kNever, kNever, kNever}}),
    [](const auto& info) { return info.param.name; });

TEST_F(GenerationTest, Refused) {
  const struct {
    const char* fields;
    const char* message;
  } cases[] = {
      {"temperature: -1",
       "temperature: expected a number of at least 0, found -1"},
      {"temperature: nan",
       "temperature: expected a number of at least 0, found nan"},
      {"temperature: inf",
       "temperature: expected a number of at least 0, found inf"},
      {"top_p: 0", "top_p: expected a number in (0, 1], found 0"},
      {"top_p: 1.5", "top_p: expected a number in (0, 1], found 1.5"},
      {"top_p: nan", "top_p: expected a number in (0, 1], found nan"},
      {"repetition_penalty: 0",
       "repetition_penalty: expected a positive number, found 0"},
      {"repetition_penalty: -2",
       "repetition_penalty: expected a positive number, found -2"},
      {"repetition_penalty: inf",
       "repetition_penalty: expected a positive number, found inf"},
      {"stop_words: ['the', '']",
       "stop_words[1]: expected a word without white space"},
      {"stop_words: 'the cat'",
       "stop_words[0]: expected a word without white space"},
      // The model can never generate such a word.
      {"stop_words: ' the'",
       "stop_words[0]: expected a word without white space"},
      {"prompt { text: 'the </s>' }",
       "prompt: word 1: expected no sentence marker, found </s>"},
  };
  for (const auto& refused : cases) {
    const auto generation = Generation::Start(
        *serving_, call_,
        Parse<GenerateRequest>(absl::StrCat("model: 'tiny' ", refused.fields)));
    EXPECT_EQ(TextOf(generation.status()),
              absl::StrCat("INVALID_ARGUMENT: ", refused.message));
  }
}

}  // namespace
}  // namespace lmserve
