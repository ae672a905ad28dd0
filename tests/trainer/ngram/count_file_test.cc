// SPDX-License-Identifier: Apache-2.0
#include "trainer/ngram/count_file.h"

#include <algorithm>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/ngram/fast/ngram_builder.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/temporary_directory.h"
#include "tests/trainer/neural/training.h"
#include "trainer/ngram/estimate.h"

namespace lmserve {
namespace {

using testing::HasSubstr;

std::string Written(const Corpus& corpus, int order) {
  std::ostringstream out;
  WriteCounts(corpus.vocabulary, CountNgrams(corpus, order, 1), out);
  return out.str();
}

class CountFileTest : public testing::Test {
 protected:
  // Reads counts from files with these contents.
  absl::StatusOr<CountedText> Read(const std::vector<std::string>& texts,
                                   int order,
                                   const CorpusOptions& options = {}) {
    std::vector<std::string> files;
    for (const std::string& text : texts) {
      files.push_back(directory_.File(absl::StrCat("counts", files.size())));
      Write(files.back(), text);
    }
    return ReadCounts(files, order, options);
  }

  void Write(const std::string& path, const std::string& text) {
    std::ofstream(path) << text;
  }

  std::string Error(const std::string& text, int order = 2) {
    const absl::StatusOr<CountedText> counted = Read({text}, order);
    EXPECT_EQ(counted.status().code(), absl::StatusCode::kInvalidArgument);
    return std::string(counted.status().message());
  }

  const TemporaryDirectory directory_;
};

void ExpectSame(const CountedText& found, const Vocabulary& vocabulary,
                const NgramCounts& counts) {
  EXPECT_EQ(found.vocabulary.text(), vocabulary.text());
  EXPECT_EQ(found.counts.begin_sentence, counts.begin_sentence);
  ASSERT_EQ(found.counts.order(), counts.order());
  for (int k = 1; k <= counts.order(); ++k) {
    SCOPED_TRACE(k);
    const CountedLevel& a = found.counts.levels[k - 1];
    const CountedLevel& b = counts.levels[k - 1];
    EXPECT_EQ(a.words, b.words);
    EXPECT_EQ(a.counts, b.counts);
    EXPECT_EQ(a.suffixes, b.suffixes);
    EXPECT_EQ(a.children, b.children);
  }
}

std::string Shuffled(const std::string& text, int seed) {
  std::vector<std::string> lines =
      absl::StrSplit(text, '\n', absl::SkipEmpty());
  std::shuffle(lines.begin(), lines.end(), std::mt19937(seed));
  return absl::StrJoin(lines, "\n") + "\n";
}

TEST_F(CountFileTest, WritesLinesOfAllOrders) {
  EXPECT_EQ(Written(CorpusOf("a b\na\n"), 3),
            "<s>\t2\n</s>\t2\na\t2\nb\t1\n"
            "<s> a\t2\na </s>\t1\na b\t1\nb </s>\t1\n"
            "<s> a </s>\t1\n<s> a b\t1\na b </s>\t1\n");
}

TEST_F(CountFileTest, RoundTrip) {
  const std::vector<std::string> texts = {
      DemoText(300, 1), "a\n", "a b\na\n",
      // Byte order marks as words, which occur in real texts.
      ("a \xEF\xBB\xBF b\nc \xEF\xBB\xBF\xEF\xBB\xBF"
       "b \xEF\xBB\xBF \xEF\xBB\xBF\n"),
      RandomText(1, {"a", "b", "<unk>", "c"}, 80)};
  for (const std::string& text : texts) {
    for (int order : {1, 2, 3, 5, 8}) {
      const Corpus corpus = CorpusOf(text);
      const absl::StatusOr<CountedText> read =
          Read({Written(corpus, order)}, order);
      ASSERT_TRUE(read.ok()) << read.status();
      EXPECT_THAT(read->warnings, testing::IsEmpty());
      ExpectSame(*read, corpus.vocabulary, CountNgrams(corpus, order, 1));
    }
  }
}

// The model from written counts is the model from the text, byte by byte.
TEST_F(CountFileTest, GivesTheSameModel) {
  const std::string text = DemoText(500, 2);
  for (absl::string_view method : SmoothingMethods()) {
    EstimateOptions options;
    options.smoothing.method = std::string(method);
    const CountedText read = Read({Written(CorpusOf(text), 4)}, 4).value();
    EXPECT_EQ(BuildNgramFile(EstimateModel(read.counts, options).value().table)
                  .value(),
              TrainModel(text, 4, options).bytes)
        << method;
  }
}

// The order of lines matters only for words of equal frequency.
TEST_F(CountFileTest, LinesInAnyOrder) {
  const std::string text = "a a a a b b b c c d\na b\n";
  const Corpus corpus = CorpusOf(text);
  for (int seed = 0; seed < 10; ++seed) {
    ExpectSame(Read({Shuffled(Written(corpus, 4), seed)}, 4).value(),
               corpus.vocabulary, CountNgrams(corpus, 4, 1));
  }
}

// Counts of two texts give those of the texts together.
TEST_F(CountFileTest, FilesAreAdded) {
  const std::string first = "a a a a b b b c c d\na b\n";
  const std::string second = "b b b b b\ne a\nb\na c\n\n";
  const Corpus corpus = CorpusOf(first + second);
  ExpectSame(
      Read({Written(CorpusOf(first), 3), Written(CorpusOf(second), 3)}, 3)
          .value(),
      corpus.vocabulary, CountNgrams(corpus, 3, 1));
}

TEST_F(CountFileTest, HigherOrdersAreLeftOut) {
  const Corpus corpus = CorpusOf(DemoText(50, 3));
  const CountedText read = Read({Written(corpus, 4)}, 2).value();
  ExpectSame(read, corpus.vocabulary, CountNgrams(corpus, 2, 1));
  EXPECT_THAT(read.warnings,
              testing::ElementsAre(HasSubstr("n-grams of orders above 2")));
}

// Rare and unlisted words become <unk> as in a text.
TEST_F(CountFileTest, MinCountAndVocabulary) {
  const std::string text = "a a b\nc a b\nd b b\n";
  const std::string counts = Written(CorpusOf(text), 3);
  CorpusOptions options;
  options.min_count = 2;
  Corpus corpus = TryReadCorpus(text, options).value();
  ExpectSame(Read({counts}, 3, options).value(), corpus.vocabulary,
             CountNgrams(corpus, 3, 1));
  options.vocabulary_file = directory_.File("words");
  Write(options.vocabulary_file, "c\nnever\na\n");
  corpus = TryReadCorpus(text, options).value();
  ExpectSame(Read({counts}, 3, options).value(), corpus.vocabulary,
             CountNgrams(corpus, 3, 1));
}

// The form of SRILM: other white space, blank lines, <UNK>.
TEST_F(CountFileTest, OtherForms) {
  const CountedText read =
      Read({"<s>   a 2\n\na\t2\r\n<UNK> </s>\t1\n a </s>\t1\n<s>\t2\n"
            "a <unk> 1\n</s>\t2\n<unk>\t1\n"},
           2)
          .value();
  const Corpus corpus = CorpusOf("a\na <unk>\n");
  ExpectSame(read, corpus.vocabulary, CountNgrams(corpus, 2, 1));
}

constexpr char kText[] =
    "<s>\t2\n</s>\t2\na\t2\nb\t1\n"
    "<s> a\t2\na b\t1\na </s>\t1\nb </s>\t1\n";

std::string Without(const std::string& line) {
  std::vector<std::string> lines =
      absl::StrSplit(kText, '\n', absl::SkipEmpty());
  lines.erase(std::find(lines.begin(), lines.end(), line));
  return absl::StrJoin(lines, "\n") + "\n";
}

TEST_F(CountFileTest, Errors) {
  EXPECT_TRUE(Read({kText}, 2).ok());
  for (const char* line :
       {"a", "a\t", "a\tb", "a\t0", "a\t-1", "a\t1.5", "a\t4294967296", "3"}) {
    EXPECT_THAT(Error(absl::StrCat("<s>\t1\n", line, "\n")),
                AllOf(HasSubstr("counts0 line 2: expected words and a count "
                                "from 1 to 4294967295, found"),
                      HasSubstr(line[0] == 'a' ? "'a" : "'3'")))
        << line;
  }
  EXPECT_THAT(Error("a\xff\t1\n"), HasSubstr("line 1: invalid UTF-8"));
  EXPECT_THAT(Error("a <s>\t1\n"), HasSubstr("expected <s> only as the first"));
  EXPECT_THAT(Error("</s> a\t1\n"),
              HasSubstr("expected <s> only as the first"));
  EXPECT_THAT(Error(""), HasSubstr("expected the 1-gram <s>"));
  EXPECT_THAT(Error(Without("</s>\t2")), HasSubstr("expected the 1-gram </s>"));
  EXPECT_THAT(Error(Without("b\t1")),
              HasSubstr("expected the 1-gram of each word, found none of 'b'"));
  EXPECT_THAT(Error("<s>\t1\n</s>\t1\na\t1\n"),
              HasSubstr("expected all orders up to --order, found no 2-gram"));
  EXPECT_THAT(Error(absl::StrCat(kText, "a\t4294967295\n")),
              HasSubstr("1-gram 'a': expected a count of at most 4294967295, "
                        "found 4294967297"));
  EXPECT_FALSE(Read({kText}, 3).ok());
  EXPECT_FALSE(ReadCounts({"/none"}, 2, {}).ok());
}

// An n-gram needs its context and its suffix.
TEST_F(CountFileTest, MissingNgrams) {
  const std::string trigrams = "<s> a b\t1\n<s> a </s>\t1\na b </s>\t1\n";
  EXPECT_TRUE(Read({absl::StrCat(kText, trigrams)}, 3).ok());
  EXPECT_THAT(Error(absl::StrCat(Without("<s> a\t2"), trigrams), 3),
              HasSubstr("3-gram '<s> a </s>': expected the counts of all "
                        "orders, found none of the 2-gram '<s> a'"));
  EXPECT_THAT(Error(absl::StrCat(Without("b </s>\t1"), trigrams), 3),
              HasSubstr("3-gram 'a b </s>': expected the counts of all orders, "
                        "found none of the 2-gram 'b </s>'"));
}

// Counts with a cut-off are accepted, with a warning.
TEST_F(CountFileTest, CutOffs) {
  const CountedText read = Read({Without("a </s>\t1")}, 2).value();
  EXPECT_THAT(read.warnings,
              testing::ElementsAre(
                  "n-grams of order 1 whose extensions by a word do not add up "
                  "to their count, unlike those of a text: 1; the first is 'a' "
                  "with 2 and 1"));
}

}  // namespace
}  // namespace lmserve
