// SPDX-License-Identifier: Apache-2.0
#include "trainer/evaluation/evaluate.h"

#include <cmath>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model_store/loaded_version.h"
#include "tests/testing/neural_models.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/temporary_directory.h"
#include "tests/text_io/compress.h"

namespace lmserve {
namespace {

constexpr double kLn10 = 2.302585092994045684;

class EvaluateTest : public testing::Test {
 protected:
  absl::StatusOr<Evaluation> Run(LineReader& lines) {
    Progress quiet("", /*quiet=*/true);
    return Evaluate(*built_.model, lines, TextForm::kSentences, quiet);
  }

  absl::StatusOr<Evaluation> Run(std::string text) {
    return Run(*LineReader::FromString(std::move(text)));
  }

  const BuiltNgramModel built_ = BuildFromArpa(TinyArpa());
};

// log10 P of the words and of </s> in TinyArpa().
constexpr double kKnown = -0.3 - 0.18 - 0.22 - 0.17 - 0.21;
// "the", an unknown word that backs off twice, and </s> without context.
constexpr double kThe = -0.3, kZebra = -0.05 - 0.3 - 1.5, kEnd = -0.9;

TEST_F(EvaluateTest, PerplexityByHand) {
  const Evaluation result = Run("the cat is small\n").value();
  EXPECT_EQ(result.tokens, 5u);
  EXPECT_EQ(result.oov, 0u);
  EXPECT_NEAR(result.log_prob, kKnown * kLn10, 1e-5);
  EXPECT_NEAR(result.Perplexity(), std::pow(10, -kKnown / 5), 1e-5);
  EXPECT_EQ(result.PerplexityExcludingOov(), result.Perplexity());
}

// Both perplexities are computed: with and without unknown words.
TEST_F(EvaluateTest, PerplexityWithAndWithoutUnknownWords) {
  for (const char* word : {"zebra", "<unk>"}) {
    const Evaluation result =
        Run("the cat is small\nthe " + std::string(word) + "\n").value();
    EXPECT_EQ(result.tokens, 8u);
    EXPECT_EQ(result.oov, 1u);
    EXPECT_NEAR(result.Perplexity(),
                std::pow(10, -(kKnown + kThe + kZebra + kEnd) / 8), 1e-5);
    EXPECT_NEAR(result.PerplexityExcludingOov(),
                std::pow(10, -(kKnown + kThe + kEnd) / 7), 1e-5);
  }
}

TEST_F(EvaluateTest, BlankLinesAreIgnored) {
  const Evaluation result = Run("\nthe cat is small\n \t\r\n\n").value();
  EXPECT_EQ(result.blank_lines, 3u);
  EXPECT_EQ(result.tokens, 5u);
  EXPECT_NEAR(result.log_prob, kKnown * kLn10, 1e-5);
}

// More words than one batch has.
TEST_F(EvaluateTest, LongTexts) {
  std::string text;
  for (int i = 0; i < 30'000; ++i) text += "the cat is small\nthe zebra\n";
  const Evaluation result = Run(text).value();
  EXPECT_EQ(result.tokens, 240'000u);
  EXPECT_EQ(result.oov, 30'000u);
  EXPECT_NEAR(result.Perplexity(),
              std::pow(10, -(kKnown + kThe + kZebra + kEnd) / 8), 1e-5);
  EXPECT_GT(result.WordsPerSecond(), 0);
}

TEST_F(EvaluateTest, SentenceMarkersAreRefused) {
  EXPECT_EQ(Run("a\n\nthe <s>\n").status().message(),
            "text line 3: expected words, found the sentence marker <s> inside "
            "the line (accepted with --markers skip or replace)");
  EXPECT_FALSE(Run("a </s> b\n").ok());
  EXPECT_EQ(Run("<s> a </s>\n").value().tokens, Run("a\n").value().tokens);
}

TEST_F(EvaluateTest, TextsWithoutASentence) {
  for (const char* text : {"", "\n \n"}) {
    EXPECT_EQ(Run(text).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

TEST_F(EvaluateTest, TruncatedFile) {
  const TemporaryDirectory directory;
  const std::string bytes = Gzip("the cat\nis small\n");
  WriteBytes(directory.File("text"), bytes.substr(0, bytes.size() - 3));
  EXPECT_EQ(Run(**LineReader::Open(directory.File("text"))).status().code(),
            absl::StatusCode::kDataLoss);
}

// Each word is scored given all other words; </s> is not a token.
TEST(EvaluateBidirectionalTest, PseudoPerplexity) {
  const TemporaryDirectory store;
  PublishBidirectionalModel(store.path(), "both", "the cat is small\n");
  const ModelHandle handle = LoadModel(store.path(), "both", 1).value();
  const BidirectionalModel& model = *handle->model().bidirectional();
  std::vector<WordId> words;
  for (const char* word : {"the", "cat", "zebra"}) {
    words.push_back(model.vocabulary().Find(word));
  }
  std::vector<float> found(words.size());
  const BidirectionalModel::Sentence sentence = {words, absl::MakeSpan(found)};
  model.Score({&sentence, 1});

  Progress quiet("", /*quiet=*/true);
  const Evaluation result =
      Evaluate(model,
               *LineReader::FromString("the cat zebra\n\nthe cat zebra\n"),
               TextRules(), quiet)
          .value();
  EXPECT_EQ(result.tokens, 6u);
  EXPECT_EQ(result.oov, 2u);
  EXPECT_EQ(result.blank_lines, 1u);
  const double known = found[0] + found[1];
  EXPECT_NEAR(result.log_prob, 2 * (known + found[2]), 1e-5);
  EXPECT_NEAR(result.Perplexity(), std::exp(-(known + found[2]) / 3), 1e-5);
  EXPECT_NEAR(result.PerplexityExcludingOov(), std::exp(-known / 2), 1e-5);
  EXPECT_FALSE(
      Evaluate(model, *LineReader::FromString("the <s>\n"), TextRules(), quiet)
          .ok());
}

TEST(Evaluation, EveryTokenUnknown) {
  Evaluation result;
  result.tokens = result.oov = 3;
  result.log_prob = -3 * kLn10;
  EXPECT_NEAR(result.Perplexity(), 10, 1e-12);
  EXPECT_EQ(result.PerplexityExcludingOov(), 0);
}

}  // namespace
}  // namespace lmserve
