// SPDX-License-Identifier: Apache-2.0
#include "trainer/text/parallel_corpus.h"

#include <fstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ParallelCorpusTest : public testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& text) {
    std::ofstream(directory_.File(name)) << text;
    return directory_.File(name);
  }

  const TemporaryDirectory directory_;
};

TEST_F(ParallelCorpusTest, PairsAreLinesWithTheSameNumber) {
  const std::string source = Write("de", "die katze\n\nder hund\n");
  const std::string target = Write("en", "the cat\nnothing\nthe dog\n");
  const ParallelCorpus corpus =
      ReadParallelCorpus(source, {}, target, {}).value();
  ASSERT_EQ(corpus.pairs.size(), 2u);  // without the pair with a blank line
  EXPECT_EQ(corpus.tokens, 6u);
  const auto& vocabulary = corpus.vocabulary;
  EXPECT_THAT(corpus.pairs[1].target,
              ElementsAre(vocabulary.Find("the"), vocabulary.Find("dog")));
  const auto& source_vocabulary = corpus.source_vocabulary;
  EXPECT_THAT(corpus.pairs[1].source,
              ElementsAre(source_vocabulary.Find("der"),
                          source_vocabulary.Find("hund")));
  EXPECT_FALSE(source_vocabulary.Contains("the"));

  const std::vector<SentencePair> others =
      ReadSentencePairs(Write("de2", "hund maus\n"), source_vocabulary,
                        Write("en2", "dog mouse\n"), vocabulary)
          .value();
  ASSERT_EQ(others.size(), 1u);
  EXPECT_THAT(others[0].source, ElementsAre(source_vocabulary.Find("hund"),
                                            source_vocabulary.unknown()));
}

// The sentences of such a pair may be those of its neighbors.
TEST_F(ParallelCorpusTest, CountsThePairsWithOneBlankLine) {
  const std::string source = Write("de", "a\n\n\nb\nc\n");
  const std::string target = Write("en", "a\n\nx\n\nc\n");
  testing::internal::CaptureStderr();
  EXPECT_EQ(ReadParallelCorpus(source, {}, target, {}).value().pairs.size(),
            2u);
  EXPECT_THAT(testing::internal::GetCapturedStderr(),
              HasSubstr(target + ": 2 pairs ignored, because only one of their "
                                 "two lines is blank\n"));
}

TEST_F(ParallelCorpusTest, EqualNumbersOfLinesAreRequired) {
  const std::string source = Write("de", "eins\nzwei\n");
  const std::string target = Write("en", "one\n");
  EXPECT_THAT(
      std::string(
          ReadParallelCorpus(source, {}, target, {}).status().message()),
      HasSubstr("de, 2, found 1"));
  EXPECT_THAT(
      std::string(ReadParallelCorpus(Write("blank", "\n"), {}, target, {})
                      .status()
                      .message()),
      HasSubstr("expected at least one sentence with a translation, "
                "found none"));
}

}  // namespace
}  // namespace lmserve
