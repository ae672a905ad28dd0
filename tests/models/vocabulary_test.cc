// SPDX-License-Identifier: Apache-2.0
#include "models/vocabulary.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::HasSubstr;

TEST(VocabularyTest, NumbersTheWordsInOrder) {
  const auto parsed = Vocabulary::Parse(
      "the\n</s>\n<unk>\n\xc3\xa9t\xc3\xa9\n"
      "<s>\n");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->size(), 5u);
  EXPECT_EQ(parsed->word(0), "the");
  EXPECT_EQ(parsed->word(3), "\xc3\xa9t\xc3\xa9");
  EXPECT_EQ(parsed->Find("the"), 0u);
  EXPECT_EQ(parsed->Find("\xc3\xa9t\xc3\xa9"), 3u);
  EXPECT_EQ(parsed->end_sentence(), 1u);
  EXPECT_EQ(parsed->unknown(), 2u);
  EXPECT_EQ(parsed->begin_sentence(), 4u);
}

TEST(VocabularyTest, OtherWordsAreUnknown) {
  const Vocabulary vocabulary =
      Vocabulary::Parse("the\n<unk>\n<s>\n</s>\n").value();
  for (absl::string_view word : {"", "The", "th", "the ", "cat", "<UNK>"}) {
    EXPECT_EQ(vocabulary.Find(word), 1u) << word;
    EXPECT_FALSE(vocabulary.Contains(word)) << word;
  }
  EXPECT_TRUE(vocabulary.Contains("<unk>"));
}

TEST(VocabularyTest, ErrorsNameTheLine) {
  using namespace std::string_literals;
  const struct {
    std::string text;
    const char* expected;
  } cases[] = {
      {"<unk>\n\n<s>\n</s>\n", "line 2: the word is empty"},
      {"<unk>\n<s>\n</s>\n\n", "line 4: the word is empty"},
      {"<unk>\n<s>\n</s>\na b\n", "line 4: the word contains white space"},
      {"<unk>\n<s>\n</s>\n a\n", "line 4: the word contains white space"},
      {"<unk>\r\n<s>\r\n</s>\r\n", "line 1: the word contains white space"},
      {"<unk>\n<s>\n</s>\na\0b\n"s, "line 4: the word contains white space"},
      {"<unk>\n<s>\n</s>\na\xff\n", "line 4: the word is not valid UTF-8"},
      {"<unk>\n\xed\xa0\x80\n<s>\n</s>\n",
       "line 2: the word is not valid UTF-8"},
      {"<unk>\n<s>\na\n</s>\na\n", "line 5: duplicate word 'a'"},
      {"<unk>\n<s>\n</s>\n<s>\n", "line 4: duplicate word '<s>'"},
      {"<unk>\n<s>\n</s>\na", "line 4: the last line does not end with LF"},
      {"<s>\n</s>\n", "the marker <unk> is missing"},
      {"<unk>\n</s>\n", "the marker <s> is missing"},
      {"<unk>\n<s>\n", "the marker </s> is missing"},
      {"", "is missing"},
  };
  for (const auto& c : cases) {
    const absl::Status status = Vocabulary::Parse(c.text).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << c.text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.expected));
  }
}

TEST(VocabularyTest, CreateCopiesTheWords) {
  std::vector<std::string> words = {"<unk>", "<s>", "</s>", "cat"};
  const std::vector<absl::string_view> views(words.begin(), words.end());
  const Vocabulary vocabulary = Vocabulary::Create(views).value();
  words[3] = "dog";
  EXPECT_EQ(vocabulary.word(3), "cat");
  EXPECT_EQ(vocabulary.Find("cat"), 3u);
  EXPECT_EQ(vocabulary.text(), "<unk>\n<s>\n</s>\ncat\n");
}

// For example, a word that contains LF would become two lines.
TEST(VocabularyTest, CreateRefusesInvalidWords) {
  for (absl::string_view word : {"", "a\nb", "\n", "a b", "\xff", "cat"}) {
    const std::vector<absl::string_view> words = {"<unk>", "<s>", "</s>", "cat",
                                                  word};
    const absl::Status status = Vocabulary::Create(words).status();
    EXPECT_THAT(status.ToString(), HasSubstr("vocabulary line 5: ")) << word;
  }
}

TEST(VocabularyTest, ViewsStayValidAfterAMove) {
  // The text fits into the small-string buffer of std::string: if the string
  // were a direct member, moving it would move the bytes.
  Vocabulary first = Vocabulary::Parse("<unk>\n<s>\n</s>\n").value();
  const absl::string_view word = first.word(2);
  const Vocabulary second = std::move(first);
  EXPECT_EQ(word, "</s>");
  EXPECT_EQ(second.word(2).data(), word.data());
  EXPECT_EQ(second.Find("<s>"), 1u);
}

TEST(VocabularyTest, CheckSameWordsReportsTheFirstDifference) {
  const Vocabulary expected =
      Vocabulary::Parse("<unk>\n<s>\n</s>\na\n").value();
  const auto error = [&](absl::string_view text) {
    return CheckSameWords(expected,
                          Vocabulary::Parse(std::string(text)).value())
        .ToString();
  };
  EXPECT_EQ(error(expected.text()), "OK");
  EXPECT_EQ(error("<unk>\n</s>\n<s>\na\n"),
            "INVALID_ARGUMENT: word 1: expected '<s>', found '</s>'");
  EXPECT_EQ(error("<unk>\n<s>\n</s>\nb\nc\n"),
            "INVALID_ARGUMENT: word 3: expected 'a', found 'b'");
  EXPECT_EQ(error("<unk>\n<s>\n</s>\n"),
            "INVALID_ARGUMENT: words: expected 4, found 3");
}

TEST(VocabularyTest, WordsAreNotLongerThanTheLimit) {
  const auto parse = [](size_t size) {
    return Vocabulary::Parse(
               absl::StrCat("<unk>\n<s>\n</s>\n", std::string(size, 'a'), "\n"))
        .status();
  };
  EXPECT_TRUE(parse(kMaxWordSize).ok());
  EXPECT_EQ(parse(kMaxWordSize + 1).message(),
            "vocabulary line 4: expected a word of at most 65536 bytes, found "
            "65537");
}

TEST(VocabularyTest, ErrorsQuoteWordsEscapedAndCut) {
  const std::string word = "\x1b[31m" + std::string(1000, 'a');
  const absl::Status status =
      Vocabulary::Parse(absl::StrCat(word, "\n", word, "\n")).status();
  const std::string message(status.message());
  EXPECT_EQ(message.rfind("vocabulary line 2: duplicate word '\\x1b[31maaa", 0),
            0u)
      << message;
  EXPECT_LT(message.size(), 160u);
}

}  // namespace
}  // namespace lmserve
