// SPDX-License-Identifier: Apache-2.0
#include "trainer/text/sentences.h"

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/ngram_models.h"

namespace lmserve {
namespace {

using testing::ElementsAre;

class SentencesTest : public testing::Test {
 protected:
  std::unique_ptr<SentenceReader> Open(std::string text,
                                       TextForm form = TextForm::kSentences) {
    lines_ = LineReader::FromString(std::move(text));
    return std::make_unique<SentenceReader>(model().vocabulary(), *lines_, form,
                                            quiet_);
  }

  const NgramModel& model() const { return *built_.model; }
  WordId Id(absl::string_view word) const {
    return model().vocabulary().Find(word);
  }

  const BuiltNgramModel built_ = BuildFromArpa(TinyArpa());
  Progress quiet_{"", /*quiet=*/true};
  std::unique_ptr<LineReader> lines_;
};

TEST_F(SentencesTest, WordsAndEnds) {
  const auto reader = Open("the zebra\n\n is \n");
  SentenceBatch batch;
  ASSERT_TRUE(reader->Next(&batch));
  EXPECT_THAT(batch.words, ElementsAre(Id("the"), Id("<unk>"), Id("</s>"),
                                       Id("is"), Id("</s>")));
  EXPECT_THAT(batch.ends, ElementsAre(3, 5));
  EXPECT_EQ(reader->tokens(), 5u);
  EXPECT_EQ(reader->blank_lines(), 1u);
  EXPECT_FALSE(reader->Next(&batch));
  EXPECT_TRUE(reader->status().ok());
  EXPECT_FALSE(reader->Next(&batch));
}

TEST_F(SentencesTest, LongTextsGiveSeveralBatches) {
  std::string text;
  for (int i = 0; i < 100'000; ++i) text += "the cat\n";
  const auto reader = Open(text);
  SentenceBatch batch;
  int batches = 0;
  size_t sentences = 0;
  for (; reader->Next(&batch); ++batches) {
    EXPECT_EQ(batch.words.size(), 3 * batch.ends.size());
    sentences += batch.ends.size();
  }
  EXPECT_TRUE(reader->status().ok());
  EXPECT_EQ(sentences, 100'000u);
  EXPECT_EQ(reader->tokens(), 300'000u);
  EXPECT_EQ(batches, 5);
}

TEST_F(SentencesTest, WrongTexts) {
  SentenceBatch batch;
  auto reader = Open("the\nis <s>\n");
  EXPECT_FALSE(reader->Next(&batch));
  EXPECT_EQ(reader->status().message(),
            "text line 2: expected words, found the sentence marker <s> inside "
            "the line (accepted with --markers skip or replace)");
  reader = Open("\n");
  EXPECT_FALSE(reader->Next(&batch));
  EXPECT_EQ(reader->status().message(),
            "text: expected at least one sentence, found none");
}

TEST_F(SentencesTest, ScoresEachSentenceAfterBeginSentence) {
  SentenceBatch batch;
  ASSERT_TRUE(Open("the cat\nthe cat\n")->Next(&batch));
  const std::vector<float> log_probs =
      TextScorer(model(), TextForm::kSentences).Score(batch);
  // log10 P from TinyArpa(): "<s> the", "<s> the cat", and </s> after "the
  // cat".
  constexpr float kLn10 = 2.302585093f;
  const auto sentence = {-0.3f * kLn10, -0.18f * kLn10,
                         (-0.2f - 0.25f - 0.9f) * kLn10};
  std::vector<testing::Matcher<float>> expected;
  for (int i = 0; i < 2; ++i) {
    for (float log_prob : sentence) {
      expected.push_back(testing::FloatNear(log_prob, 1e-5f));
    }
  }
  EXPECT_THAT(log_probs, testing::ElementsAreArray(expected));
}

// In a stream, blank lines are sentences, and the state is kept from sentence
// to sentence and from batch to batch.
TEST_F(SentencesTest, Streams) {
  SentenceBatch batch;
  auto reader = Open("the\n\nis\n", TextForm::kStream);
  ASSERT_TRUE(reader->Next(&batch));
  EXPECT_THAT(batch.words, ElementsAre(Id("the"), Id("</s>"), Id("</s>"),
                                       Id("is"), Id("</s>")));
  EXPECT_THAT(batch.ends, ElementsAre(2, 3, 5));
  std::vector<std::byte> state(model().state_size());
  model().Start(state.data());
  TextScorer scorer(model(), TextForm::kStream);
  for (int times = 0; times < 2; ++times) {
    const std::vector<float> log_probs = scorer.Score(batch);
    for (size_t t = 0; t < batch.words.size(); ++t) {
      EXPECT_EQ(log_probs[t],
                model().ScoreWord(state.data(), batch.words[t]).log_prob);
    }
  }
}

}  // namespace
}  // namespace lmserve
