// SPDX-License-Identifier: Apache-2.0
#include "local/label_texts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "local/local_model.h"
#include "models/text.h"
#include "tests/testing/neural_models.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kWords[] = "the cat is small";

class LabelTextsTest : public ::testing::Test {
 protected:
  LabelTextsTest() {
    PublishRecurrentModel(store(), "lstm", kWords);
    PublishTagger(store(), "tagger", kWords);
    PublishClassifier(store(), "classifier", kWords);
  }

  std::string store() const { return directory_.path() + "/store"; }

  LocalModel Open(const std::string& name) const {
    absl::StatusOr<LocalModel> model = LocalModel::Open(store(), name);
    EXPECT_TRUE(model.ok()) << model.status();
    return *std::move(model);
  }

  TemporaryDirectory directory_;
  const std::vector<absl::string_view> texts_ = {"the cat", "", "small x is",
                                                 "cat"};
};

TEST_F(LabelTextsTest, VectorsAreThoseOfTheEncoder) {
  const LocalModel model = Open("lstm");
  const SentenceEncoder& encoder = *model.model().sentence_encoder();
  const size_t columns = model.dimensions();
  ASSERT_GT(columns, 0u);
  for (Pooling pooling : {Pooling::kMax, Pooling::kMean, Pooling::kLast}) {
    const auto vectors = model.Embed(texts_, {.pooling = pooling});
    ASSERT_TRUE(vectors.ok()) << vectors.status();
    ASSERT_EQ(vectors->size(), texts_.size() * columns);
    for (size_t i = 0; i < texts_.size(); ++i) {
      std::vector<WordId> words;
      for (absl::string_view word : SplitWords(texts_[i])) {
        words.push_back(model.vocabulary().Find(word));
      }
      std::vector<float> expected(columns);
      encoder.Encode({{words, absl::MakeSpan(expected)}}, pooling);
      EXPECT_EQ(std::vector<float>(vectors->begin() + i * columns,
                                   vectors->begin() + (i + 1) * columns),
                expected);
    }
  }
}

TEST_F(LabelTextsTest, BatchesGiveTheLabelsOfSingleSentences) {
  const LocalModel model = Open("tagger");
  EXPECT_EQ(model.labels().size(), 5u);
  std::vector<absl::string_view> many;
  for (int i = 0; i < 2000; ++i) {  // several batches
    many.insert(many.end(), texts_.begin(), texts_.end());
  }
  const auto all = model.Tag(many);
  ASSERT_TRUE(all.ok()) << all.status();
  ASSERT_EQ(all->size(), many.size());
  for (size_t i = 0; i < many.size(); ++i) {
    const auto one = model.Tag({&texts_[i % texts_.size()], 1});
    ASSERT_TRUE(one.ok()) << one.status();
    ASSERT_EQ((*all)[i], one->front());
    ASSERT_EQ((*all)[i].size(), SplitWords(many[i]).size());
  }
}

TEST_F(LabelTextsTest, ProbabilitiesOfLabelsAreThoseOfTheClassifier) {
  const LocalModel model = Open("classifier");
  EXPECT_THAT(model.labels(), ::testing::ElementsAre("bad", "fair", "good"));
  const auto rows = model.Classify(texts_);
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_EQ(rows->size(), 3 * texts_.size());
  for (size_t i = 0; i < texts_.size(); ++i) {
    const auto one = model.Classify({&texts_[i], 1});
    ASSERT_TRUE(one.ok());
    EXPECT_EQ(
        std::vector<float>(rows->begin() + 3 * i, rows->begin() + 3 * (i + 1)),
        *one);
  }
}

TEST_F(LabelTextsTest, ErrorsNameTheText) {
  const std::vector<absl::string_view> marked = {"the", "cat </s>"};
  EXPECT_THAT(Open("lstm").Embed(marked).status().message(),
              HasSubstr("text 1: word 1: expected no sentence marker"));
  const std::vector<absl::string_view> broken = {"the \xff"};
  EXPECT_THAT(Open("tagger").Tag(broken).status().message(),
              HasSubstr("text 0: expected valid UTF-8"));
}

TEST_F(LabelTextsTest, OtherModelsSayThatTheyCannot) {
  const LocalModel lstm = Open("lstm");
  EXPECT_THAT(lstm.labels(), IsEmpty());
  EXPECT_THAT(lstm.Tag(texts_).status().message(),
              HasSubstr("it cannot tag sentences"));
  EXPECT_THAT(lstm.Classify(texts_).status().message(),
              HasSubstr("it cannot classify texts"));
}

}  // namespace
}  // namespace lmserve
