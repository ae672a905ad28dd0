// SPDX-License-Identifier: Apache-2.0
#include "trainer/evaluation/evaluate_labels.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "gtest/gtest.h"

namespace lmserve {
namespace {

// Labels a word by its first letter, with probability 0.5, and the other labels
// with the rest.
class LetterTagger final : public TaggerModel {
 public:
  explicit LetterTagger(std::vector<std::string> labels)
      : labels_(std::move(labels)) {}

  const Vocabulary& vocabulary() const override { return vocabulary_; }
  absl::Span<const std::string> labels() const override { return labels_; }
  void Tag(absl::Span<const Sentence> batch) const override {
    for (const Sentence& sentence : batch) {
      for (size_t t = 0; t < sentence.words.size(); ++t) {
        sentence.labels[t] = sentence.words[t][0] - 'a';
        for (size_t j = 0; j < labels_.size(); ++j) {
          sentence.log_probs[t * labels_.size() + j] = std::log(
              j == sentence.labels[t] ? 0.5f : 0.5f / (labels_.size() - 1));
        }
      }
    }
  }

 private:
  const Vocabulary vocabulary_ =
      Vocabulary::Parse("<unk>\n<s>\n</s>\na\nb\nc\n").value();
  const std::vector<std::string> labels_;
};

class FirstWordClassifier final : public ClassifierModel {
 public:
  const Vocabulary& vocabulary() const override { return vocabulary_; }
  absl::Span<const std::string> labels() const override { return labels_; }
  void Classify(absl::Span<const Sentence> batch) const override {
    for (const Sentence& sentence : batch) {
      const bool is_good = sentence.words[0] == vocabulary_.Find("good");
      sentence.log_probs[0] = std::log(is_good ? 0.25f : 0.75f);
      sentence.log_probs[1] = std::log(is_good ? 0.75f : 0.25f);
    }
  }

 private:
  const Vocabulary vocabulary_ =
      Vocabulary::Parse("<unk>\n<s>\n</s>\ngood\nbad\n").value();
  const std::vector<std::string> labels_ = {"-", "+"};
};

TEST(EvaluateLabelsTest, CountsWords) {
  const LetterTagger model({"x", "y", "z"});
  const std::vector<LabeledSentence> text = {
      {{"a", "b", "bb"}, {"x", "x", "y"}}, {{"c"}, {"z"}}, {{"a"}, {"x"}}};
  const LabelEvaluation result = EvaluateLabels(model, text);
  EXPECT_EQ(result.sentences, 3u);
  EXPECT_EQ(result.words, 5u);
  EXPECT_EQ(result.labels, 5u);
  EXPECT_EQ(result.oov, 1u);
  EXPECT_EQ(result.correct, 4u);
  EXPECT_DOUBLE_EQ(result.Accuracy(), 0.8);
  EXPECT_DOUBLE_EQ(result.OovAccuracy(), 1);
  EXPECT_NEAR(result.log_prob, 4 * std::log(0.5) + std::log(0.25), 1e-6);
  EXPECT_FALSE(result.chunks.has_value());
}

TEST(EvaluateLabelsTest, CountsChunks) {
  const LetterTagger model({"B-N", "I-N", "O"});
  const std::vector<LabeledSentence> text = {
      {{"a", "b", "c"}, {"B-N", "I-N", "O"}}, {{"a"}, {"O"}}};
  const LabelEvaluation result = EvaluateLabels(model, text);
  ASSERT_TRUE(result.chunks.has_value());
  EXPECT_EQ(result.chunks->expected, 1u);
  EXPECT_EQ(result.chunks->found, 2u);
  EXPECT_EQ(result.chunks->correct, 1u);
}

// A text with other labels has no chunks, and a label that the model does not
// have is wrong.
TEST(EvaluateLabelsTest, UnknownLabelsAreWrong) {
  const LetterTagger model({"B-N", "I-N", "O"});
  const std::vector<LabeledSentence> text = {{{"a"}, {"NOUN"}}};
  const LabelEvaluation result = EvaluateLabels(model, text);
  EXPECT_FALSE(result.chunks.has_value());
  EXPECT_EQ(result.Accuracy(), 0);
  EXPECT_EQ(result.log_prob, -std::numeric_limits<double>::infinity());
}

TEST(EvaluateLabelsTest, OnlyOutsideHasNoChunks) {
  const LetterTagger model({"O"});
  const std::vector<LabeledSentence> text = {{{"a"}, {"O"}}};
  EXPECT_FALSE(EvaluateLabels(model, text).chunks.has_value());
}

TEST(EvaluateLabelsTest, CountsSentences) {
  const FirstWordClassifier model;
  std::vector<LabeledSentence> text(100, {{"good", "x"}, {"+"}});
  text.push_back({{"bad"}, {"+"}});
  const LabelEvaluation result = EvaluateLabels(model, text);
  EXPECT_EQ(result.sentences, 101u);
  EXPECT_EQ(result.labels, 101u);
  EXPECT_EQ(result.words, 201u);
  EXPECT_EQ(result.oov, 100u);
  EXPECT_EQ(result.correct, 100u);
  EXPECT_NEAR(result.log_prob, 100 * std::log(0.75) + std::log(0.25), 1e-4);
  EXPECT_FALSE(result.chunks.has_value());
}

}  // namespace
}  // namespace lmserve
