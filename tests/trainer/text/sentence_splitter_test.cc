// SPDX-License-Identifier: Apache-2.0
#include "trainer/text/sentence_splitter.h"

#include <memory>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class SentenceSplitterTest : public testing::Test {
 protected:
  // Returns the words of a line, or those before the error.
  std::vector<std::string> Split(const std::string& line) {
    lines_ = LineReader::FromString(line);
    absl::string_view read;
    EXPECT_TRUE(lines_->Next(&read));
    SentenceSplitter splitter(*lines_, rules_);
    std::vector<absl::string_view> words;
    status_ = splitter.Split(read, &words);
    summary_ = splitter.Summary();
    unknown_ = splitter.unwanted().unknown;
    if (!status_.ok()) words.clear();
    return {words.begin(), words.end()};
  }

  TextRules rules_;
  std::unique_ptr<LineReader> lines_;
  absl::Status status_;
  std::string summary_;
  uint64_t unknown_ = 0;
};

TEST_F(SentenceSplitterTest, MarkersAroundTheLine) {
  for (const char* line :
       {"a b", "<s> a b </s>", "<s> a b", "a b </s>", "  <s>\ta b  </s> \r"}) {
    EXPECT_THAT(Split(line), ElementsAre("a", "b")) << line;
    EXPECT_EQ(summary_, "");
  }
  for (const char* line : {"<s> </s>", "<s>", "</s>", " "}) {
    EXPECT_THAT(Split(line), IsEmpty()) << line;
    EXPECT_TRUE(status_.ok()) << line;
  }
  // These are words.
  EXPECT_THAT(Split("<S> a <s>b </S>"),
              ElementsAre("<S>", "a", "<s>b", "</S>"));
}

TEST_F(SentenceSplitterTest, UnknownWords) {
  EXPECT_THAT(Split("<unk> a <UNK>"), ElementsAre("<unk>", "a", "<unk>"));
  EXPECT_EQ(unknown_, 2u);
  EXPECT_EQ(summary_, "");
  rules_.unknown = UnwantedWord::kSkip;
  EXPECT_THAT(Split("<unk> a <UNK> <unk>s"), ElementsAre("a", "<unk>s"));
  EXPECT_EQ(unknown_, 0u);
  EXPECT_THAT(summary_, HasSubstr("text: 2 words"));
  rules_.unknown = UnwantedWord::kRefuse;
  EXPECT_THAT(Split("a <UNK>"), IsEmpty());
  EXPECT_THAT(status_.message(),
              HasSubstr("text line 1: expected words, found <unk> (accepted "
                        "with --unk keep or skip)"));
  // What other rules make <unk> is not <unk> in the text.
  rules_.invalid_utf8 = UnwantedWord::kReplace;
  EXPECT_THAT(Split("caf\xE9"), ElementsAre("<unk>"));
  EXPECT_EQ(unknown_, 0u);
}

TEST_F(SentenceSplitterTest, MarkersInsideTheLine) {
  for (const char* line :
       {"a <s> b", "</s> a b", "a b <s>", "<s> <s> a", "a </s> </s>"}) {
    EXPECT_THAT(Split(line), IsEmpty());
    EXPECT_THAT(status_.message(), HasSubstr("text line 1: expected words"));
  }
  rules_.markers = UnwantedWord::kSkip;
  EXPECT_THAT(Split("<s> a </s> <s> b </s>"), ElementsAre("a", "b"));
  EXPECT_THAT(summary_, HasSubstr("text: 2 words"));
  EXPECT_THAT(summary_, HasSubstr("left out"));
  rules_.markers = UnwantedWord::kReplace;
  EXPECT_THAT(Split("a <s> b"), ElementsAre("a", "<unk>", "b"));
  EXPECT_THAT(summary_, HasSubstr("replaced by <unk>"));
}

TEST_F(SentenceSplitterTest, InvalidUtf8) {
  EXPECT_THAT(Split("caf\xE9 door"), IsEmpty());
  EXPECT_THAT(status_.message(), HasSubstr("text line 1: invalid UTF-8"));
  rules_.invalid_utf8 = UnwantedWord::kSkip;
  EXPECT_THAT(Split("caf\xE9 door"), ElementsAre("door"));
  rules_.invalid_utf8 = UnwantedWord::kReplace;
  EXPECT_THAT(Split("caf\xE9 door"), ElementsAre("<unk>", "door"));
}

}  // namespace
}  // namespace lmserve
