// SPDX-License-Identifier: Apache-2.0
#include "reranking/bleu.h"

#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::ElementsAre;

using Words = std::vector<std::string>;

Words Split(const std::string& text) {
  return absl::StrSplit(text, ' ', absl::SkipEmpty());
}

BleuCounts Count(const std::string& system,
                 const std::vector<std::string>& references) {
  std::vector<Words> split;
  split.reserve(references.size());
  for (const std::string& reference : references) {
    split.push_back(Split(reference));
  }
  return CountBleu(Split(system), split);
}

// The expected words are those of sacrebleu's own tokenizer.
TEST(Tokenize13aTest, AsSacrebleu) {
  const std::pair<const char*, const char*> cases[] = {
      {"Wait... what?", "Wait . . . what ?"},
      {"1,000.50 and a.b.c, 3-4 x-y", "1,000.50 and a . b . c , 3 - 4 x-y"},
      {"It's 5.", "It's 5 ."},
      {"don't (e.g., U.S.) 10%", "don't ( e . g . , U . S . ) 10 %"},
      {"..,,..", ". . , , . ."},
      {"&amp;lt; &quot;x&quot;", "< \" x \""},
      {"a\u00A0b \u3000c", "a b c"},
      {"www.x.de/a_b", "www . x . de / a _ b"},
      {"1.,2", "1 . , 2"},
      {"\u20AC5.-", "\u20AC5 . -"},
      {"", ""},
      {"a-\nb\nc<skipped>", "ab c"},
  };
  for (const auto& [text, expected] : cases) {
    EXPECT_EQ(absl::StrJoin(Tokenize13a(text), " "), expected) << text;
  }
}

TEST(BleuTest, CountsAreClippedByTheReferenceThatHasMost) {
  const BleuCounts counts =
      Count("the the the cat", {"the cat", "the the dog"});
  EXPECT_THAT(counts.correct, ElementsAre(3, 2, 0, 0));
  EXPECT_THAT(counts.total, ElementsAre(4, 3, 2, 1));
  EXPECT_EQ(counts.system_words, 4u);
  EXPECT_EQ(counts.reference_words, 3u);
}

TEST(BleuTest, OfTwoLengthsAsNearTheShorterCounts) {
  EXPECT_EQ(Count("a b c", {"a b c d", "a b"}).reference_words, 2u);
  EXPECT_EQ(Count("a b c", {"a b", "a b c d"}).reference_words, 2u);
}

TEST(BleuTest, AsSacrebleu) {
  const BleuCounts counts = {{3, 1, 0, 0}, {4, 3, 2, 1}, 4, 5};
  EXPECT_NEAR(Bleu(counts), 27.5348, 1e-4);
  const BleuCounts two_words = {{2, 1, 0, 0}, {2, 1, 0, 0}, 2, 2};
  EXPECT_EQ(Bleu(two_words), 0);
  EXPECT_NEAR(Bleu(two_words, /*effective_order=*/true), 100, 1e-9);
}

// Computed by hand: precisions 3/4, 1/3, 1/(2*2) and 1/(4*1), brevity exp(1 -
// 5/4).
TEST(BleuTest, ByHand) {
  const double expected =
      100 * std::exp(-0.25) * std::pow(0.75 / 3 * 0.25 * 0.25, 0.25);
  EXPECT_NEAR(Bleu({{3, 1, 0, 0}, {4, 3, 2, 1}, 4, 5}), expected, 1e-9);
}

TEST(BleuTest, TheSameTextHasAHundredAndAnotherNothing) {
  EXPECT_NEAR(Bleu(Count("a b c d e", {"a b c d e"})), 100, 1e-9);
  EXPECT_EQ(Bleu(Count("a b c d e", {"v w x y z"})), 0);
  EXPECT_EQ(Bleu(Count("", {"a b"})), 0);
  EXPECT_EQ(Bleu(Count("a b c d", {""})), 0);
  EXPECT_EQ(Bleu(BleuCounts()), 0);
}

TEST(BleuTest, ACorpusIsTheSumOfItsTexts) {
  BleuCounts sum = Count("the cat sat on the mat", {"the cat sat on a mat"});
  sum += Count("a dog", {"a dog barks"});
  EXPECT_THAT(sum.correct, ElementsAre(7, 4, 2, 1));
  EXPECT_THAT(sum.total, ElementsAre(8, 6, 4, 3));
  const double expected = 100 * std::exp(1 - 9.0 / 8) *
                          std::pow(7.0 / 8 * 4 / 6 * 2 / 4 * 1 / 3, 0.25);
  EXPECT_NEAR(Bleu(sum), expected, 1e-9);
}

TEST(BleuTest, TheSignatureTellsTheTokenizer) {
  EXPECT_EQ(BleuSignature(1, "13a"),
            "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp");
}

}  // namespace
}  // namespace lmserve
