// SPDX-License-Identifier: Apache-2.0
#include "trainer/text/corpus.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temporary_directory.h"
#include "tests/text_io/compress.h"
#include "tests/trainer/neural/training.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr WordId kUnk = 0, kBegin = 1, kEnd = 2;

std::vector<std::string> Words(const Corpus& corpus) {
  std::vector<std::string> words;
  for (WordId id = 0; id < corpus.vocabulary.size(); ++id) {
    words.emplace_back(corpus.vocabulary.word(id));
  }
  return words;
}

TEST(Corpus, IdsByFrequencyThenByFirstOccurrence) {
  const Corpus corpus = CorpusOf("b a c\nc d a\nc\n");
  EXPECT_THAT(Words(corpus),
              ElementsAre("<unk>", "<s>", "</s>", "c", "a", "b", "d"));
  EXPECT_THAT(corpus.words, ElementsAre(kBegin, 5, 4, 3, kEnd, kBegin, 3, 6, 4,
                                        kEnd, kBegin, 3, kEnd));
  EXPECT_EQ(corpus.sentences, 3u);
  EXPECT_EQ(corpus.tokens(), 10u);  // 7 words, 3 </s>
  EXPECT_EQ(corpus.unknown, 0u);
}

TEST(Corpus, RareWordsAreUnknown) {
  CorpusOptions options;
  options.min_count = 2;
  const Corpus corpus = TryReadCorpus("a b a c\nc d\n", options).value();
  EXPECT_THAT(Words(corpus), ElementsAre("<unk>", "<s>", "</s>", "a", "c"));
  EXPECT_THAT(corpus.words,
              ElementsAre(kBegin, 3, kUnk, 3, 4, kEnd, kBegin, 4, kUnk, kEnd));
  EXPECT_EQ(corpus.unknown, 2u);
}

TEST(Corpus, WarnsIfNoWordIsKept) {
  CorpusOptions options;
  options.min_count = 3;
  testing::internal::CaptureStderr();
  EXPECT_EQ(TryReadCorpus("a b a c\nc d\n", options)->vocabulary.size(), 3u);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr("text: no word occurs 3 times (--min-count), so the "
                        "model will know no words\n"));
}

TEST(Corpus, TheTextMayContainTheUnknownWord) {
  const Corpus corpus = CorpusOf("a <unk> b <unk>\n");
  EXPECT_THAT(corpus.words, ElementsAre(kBegin, 3, kUnk, 4, kUnk, kEnd));
  EXPECT_EQ(corpus.unknown, 2u);
}

class VocabularyFileTest : public testing::Test {
 protected:
  absl::StatusOr<Corpus> Read(absl::string_view vocabulary, std::string text,
                              uint64_t min_count = 1) {
    CorpusOptions options;
    options.vocabulary_file = directory_.File("words");
    options.min_count = min_count;
    WriteBytes(options.vocabulary_file, vocabulary);
    return TryReadCorpus(std::move(text), options);
  }

  const TemporaryDirectory directory_;
};

TEST_F(VocabularyFileTest, OtherWordsAreUnknown) {
  const Corpus corpus = Read("never\na\n<s>\nb\na\n", "b x a b\n").value();
  // The words are in the order of the file, including one that is not in the
  // text.
  EXPECT_THAT(Words(corpus),
              ElementsAre("<unk>", "<s>", "</s>", "never", "a", "b"));
  EXPECT_THAT(corpus.words, ElementsAre(kBegin, 5, kUnk, 4, 5, kEnd));
  EXPECT_EQ(corpus.unknown, 1u);
}

// A table of words and numbers, such as words.txt of Kaldi, would make a model
// of the numbers, too.
TEST_F(VocabularyFileTest, ATableOfWordsAndNumbersIsRefused) {
  const absl::Status status = Read("<eps> 0\nthe 1\ncat 2\n", "a\n").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()),
              testing::HasSubstr("expected words, found a word and a number in "
                                 "each line"));
  EXPECT_TRUE(Read("the 1\ncat\n", "the\n").ok());
  EXPECT_TRUE(Read("the cat\na dog\n", "the\n").ok());
}

// Models of different texts can share a vocabulary this way.
TEST_F(VocabularyFileTest, OfAnotherModel) {
  const Corpus first = CorpusOf("a b\nb c\n");
  const Corpus second = Read(first.vocabulary.text(), "c\nd c\nb c\n").value();
  EXPECT_EQ(second.vocabulary.text(), first.vocabulary.text());
  EXPECT_EQ(second.unknown, 1u);
}

TEST_F(VocabularyFileTest, RareWordsOfTheFileAreKept) {
  EXPECT_EQ(Read("a\nb\n", "a b b b\n", 3)->unknown, 0u);
}

TEST_F(VocabularyFileTest, MayBeEmpty) {
  EXPECT_THAT(Read("", "a b\n")->words, ElementsAre(kBegin, kUnk, kUnk, kEnd));
}

TEST_F(VocabularyFileTest, InvalidUtf8) {
  const absl::Status status = Read("a\nb\xFF\n", "a\n").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(status.message(), HasSubstr("words line 2: invalid UTF-8"));
}

// Words that would become <unk> are checked, too.
TEST_F(VocabularyFileTest, InvalidUtf8InTheText) {
  const absl::Status status = Read("a\n", "a\na \xC0\x80\n").status();
  EXPECT_EQ(status.message(),
            "text line 2: invalid UTF-8 (accepted with --invalid-utf8 skip or "
            "replace)");
}

TEST_F(VocabularyFileTest, IsMissing) {
  CorpusOptions options;
  options.vocabulary_file = directory_.File("missing");
  EXPECT_EQ(TryReadCorpus("a\n", options).status().code(),
            absl::StatusCode::kNotFound);
}

// The characters that separate words, and some that do not.
TEST(Corpus, AsciiWhiteSpaceAndNulSeparateWords) {
  const Corpus corpus = CorpusOf(std::string(" a\tb\rc\vd\fe\0f  g \r\n", 18));
  EXPECT_THAT(Words(corpus), ElementsAre("<unk>", "<s>", "</s>", "a", "b", "c",
                                         "d", "e", "f", "g"));
}

TEST(Corpus, OtherSpacesArePartOfAWord) {
  const std::string no_break = "a\u00A0b", ideographic = "c\u3000d";
  const Corpus corpus = CorpusOf(no_break + " " + ideographic + "\n");
  EXPECT_THAT(Words(corpus),
              ElementsAre("<unk>", "<s>", "</s>", no_break, ideographic));
}

// A blank line is not a sentence.
TEST(Corpus, BlankLinesAreCountedAndIgnored) {
  const Corpus corpus = CorpusOf("\na\n \t\r\n\nb\n");
  EXPECT_EQ(corpus.blank_lines, 3u);
  EXPECT_EQ(corpus.sentences, 2u);
  EXPECT_THAT(corpus.words, ElementsAre(kBegin, 3, kEnd, kBegin, 4, kEnd));
}

struct BadText {
  std::string text;
  std::string message;
};

class BadTextTest : public testing::TestWithParam<BadText> {};

TEST_P(BadTextTest, IsRefused) {
  const absl::Status status = TryReadCorpus(GetParam().text).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), GetParam().message);
}

// Lines must not contain sentence markers but around the sentence.
INSTANTIATE_TEST_SUITE_P(
    Texts, BadTextTest,
    testing::Values(
        BadText{"a\n\nb <s> c\n",
                "text line 3: expected words, found the sentence marker <s> "
                "inside the line (accepted with --markers skip or replace)"},
        BadText{"a </s> b\n",
                "text line 1: expected words, found the sentence marker </s> "
                "inside the line (accepted with --markers skip or replace)"},
        BadText{"a\nb \x80\n",
                "text line 2: invalid UTF-8 (accepted with --invalid-utf8 skip "
                "or replace)"},
        BadText{"a\xED\xA0\x80\n",
                "text line 1: invalid UTF-8 (accepted with --invalid-utf8 skip "
                "or replace)"},
        BadText{"", "text: expected at least one sentence, found none"},
        BadText{"\n \n", "text: expected at least one sentence, found none"}));

// The lines of SRILM and Sphinx, and the other spelling of <unk>.
TEST(Corpus, MarkersAroundALineAreThoseOfTheSentence) {
  const Corpus plain = CorpusOf("turn it <unk>\nopen it\n");
  const Corpus marked = CorpusOf(
      "\xEF\xBB\xBF<s> turn it <UNK> </s>\r\n<s> </s>\n<s> open it </s>\n");
  EXPECT_EQ(Words(marked), Words(plain));
  EXPECT_EQ(marked.words, plain.words);
  EXPECT_EQ(marked.unknown, 1u);
  EXPECT_EQ(marked.blank_lines, 1u);
}

TEST(Corpus, UnwantedWordsAreSkippedOrReplaced) {
  const std::string text = "a <s> b </s> c\nd\x80 a\n";
  CorpusOptions options;
  options.rules.markers = UnwantedWord::kSkip;
  options.rules.invalid_utf8 = UnwantedWord::kReplace;
  const Corpus corpus = TryReadCorpus(text, options).value();
  EXPECT_THAT(Words(corpus),
              ElementsAre("<unk>", "<s>", "</s>", "a", "b", "c"));
  EXPECT_THAT(corpus.words, ElementsAre(kBegin, 3, 4, 5, kEnd,  //
                                        kBegin, kUnk, 3, kEnd));
  options.rules.markers = UnwantedWord::kReplace;
  options.rules.invalid_utf8 = UnwantedWord::kSkip;
  EXPECT_THAT(TryReadCorpus(text, options).value().words,
              ElementsAre(kBegin, 3, kUnk, 4, kUnk, 5, kEnd,  //
                          kBegin, 3, kEnd));
}

TEST_F(VocabularyFileTest, ByteOrderMarkAndOtherUnknown) {
  const Corpus corpus = Read(
                            "\xEF\xBB\xBF"
                            "a\n<UNK>\nb\n",
                            "a <UNK> c b\n")
                            .value();
  EXPECT_THAT(Words(corpus), ElementsAre("<unk>", "<s>", "</s>", "a", "b"));
  EXPECT_THAT(corpus.words, ElementsAre(kBegin, 3, kUnk, kUnk, 4, kEnd));
}

TEST(Corpus, TruncatedFile) {
  const TemporaryDirectory directory;
  const std::string path = directory.File("text.gz");
  const std::string bytes = Gzip("a b\nc\n");
  WriteBytes(path, bytes.substr(0, bytes.size() - 3));
  Progress quiet("", /*quiet=*/true);
  EXPECT_EQ(ReadCorpus(**LineReader::Open(path), {}, quiet).status().code(),
            absl::StatusCode::kDataLoss);
}

TEST(FirstSentences, AreFewAndShort) {
  std::string text = "a b\nc";
  for (int i = 0; i < 200; ++i) text += " d";
  const Corpus corpus = CorpusOf(text + "\ne\nf\n");
  std::string cut = "c";
  for (int i = 0; i < 99; ++i) cut += " d";
  EXPECT_THAT(FirstSentences(corpus.vocabulary, corpus.words),
              ElementsAre("a b", cut, "e"));
}

}  // namespace
}  // namespace lmserve
