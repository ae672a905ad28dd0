// SPDX-License-Identifier: Apache-2.0
#include "reranking/metric.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "reranking/nbest_line.h"
#include "tests/testing/shared_data.h"

namespace lmserve {
namespace {

using testing::HasSubstr;

std::unique_ptr<const Metric> Make(const std::string& name,
                                   const std::string& tokenizer = "13a") {
  return MakeMetric(name, tokenizer).value();
}

// A text and its reference.
using Pairs = std::vector<std::pair<std::string, std::string>>;

double CorpusScore(const Metric& metric, const Pairs& pairs) {
  Metric::Counts sum;
  for (const auto& [text, reference] : pairs) {
    AddCounts(metric.Count(text, {reference}), &sum);
  }
  return metric.Score(sum);
}

double SumOfSentences(const Metric& metric, const Pairs& pairs) {
  double sum = 0;
  for (const auto& [text, reference] : pairs) {
    sum += metric.SentenceScore(metric.Count(text, {reference}));
  }
  return sum;
}

// Texts that are difficult for tokenizers or have unusual spaces and
// characters, each paired with itself and two others.
Pairs TrickyPairs() {
  const std::vector<std::string> texts = {
      "Wait... what?", "1,000.50 and a.b.c, 3-4 x-y", "It's 5.",
      "don't (e.g., U.S.) 10%", "..,,..", "&amp;lt; &quot;x&quot;",
      "a\u00a0b \u3000c", "www.x.de/a_b", "1.,2", "\u20ac5.-", "",
      "a \u201equoted\u201c text \u2013 yes", "x", "two words",
      "\U0001F600 smile !", "tab\tin it", "trailing space ", "  leading",
      "a||b|c", "`back' {x}~[y]^\\", "na\u00efve caf\u00e9 Stra\u00dfe",
      "3.14-2 and -5", "\u2028line", "a,b;c:d?e!f",
      // With the control character U+0085, which is white space.
      "\xC2\x85next"};
  Pairs pairs;
  for (size_t i = 0; i < texts.size(); ++i) {
    for (size_t distance : {0, 1, 4}) {
      const std::string& other = texts[(i + distance) % texts.size()];
      pairs.emplace_back(texts[i] + " " + other, other + " " + texts[i]);
    }
  }
  return pairs;
}

// The expected values were computed with sacrebleu 2.4 on the same texts.
TEST(MetricTest, AsSacrebleu) {
  const Pairs pairs = TrickyPairs();
  EXPECT_NEAR(CorpusScore(*Make("bleu"), pairs), 89.60801952523893, 1e-9);
  EXPECT_NEAR(CorpusScore(*Make("bleu", "none"), pairs), 74.51829384758466,
              1e-9);
  EXPECT_NEAR(CorpusScore(*Make("chrf"), pairs), 90.89309540627812, 1e-9);
  EXPECT_NEAR(SumOfSentences(*Make("bleu"), pairs), 6299.8560106020195, 1e-9);
  EXPECT_NEAR(SumOfSentences(*Make("chrf"), pairs), 6580.930188449897, 1e-9);
}

TEST(MetricTest, AsSacrebleuOnARealList) {
  const std::string path = SharedFile("data/nbest/europarl-en.dev.nbest.xz");
  const std::string reference_path =
      SharedFile("data/nbest/europarl-en.dev.ref");
  if (path.empty() || reference_path.empty()) {
    GTEST_SKIP() << "no shared data";
  }
  const std::vector<std::string> references = ReadSharedLines(reference_path);
  Pairs first;
  for (const std::string& text : ReadSharedLines(path)) {
    const NbestLine line = ParseNbestLine(text).value();
    if (line.id == std::to_string(first.size())) {
      first.emplace_back(line.hypothesis, references[first.size()]);
    }
  }
  EXPECT_EQ(first.size(), 50u);
  EXPECT_NEAR(CorpusScore(*Make("bleu"), first), 7.04298847311025, 1e-9);
  EXPECT_NEAR(CorpusScore(*Make("chrf"), first), 29.543334820484624, 1e-9);
}

TEST(MetricTest, OfSeveralReferencesTheNearestCounts) {
  const std::vector<std::string> references = {"x y z", "a b c d"};
  for (const char* name : {"chrf", "wer"}) {
    const std::unique_ptr<const Metric> metric = Make(name);
    EXPECT_EQ(metric->Count("a b c", references),
              metric->Count("a b c", {references[1]}))
        << name;
  }
}

TEST(MetricTest, WordErrors) {
  const std::unique_ptr<const Metric> metric = Make("wer", "none");
  EXPECT_FALSE(metric->higher_is_better());
  EXPECT_DOUBLE_EQ(CorpusScore(*metric, {{"a x c", "a b c"}, {"a", "a"}}), 25);
}

TEST(MetricTest, NamesAndSignatures) {
  EXPECT_EQ(Make("bleu")->name(), "BLEU");
  EXPECT_EQ(Make("bleu")->signature(1),
            "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp");
  EXPECT_EQ(Make("chrf")->signature(2),
            "nrefs:2|case:mixed|eff:yes|nc:6|nw:0|space:no");
  EXPECT_EQ(Make("wer", "none")->signature(1), "nrefs:1|case:mixed|tok:none");
}

TEST(MetricTest, TellsWhatIsWrong) {
  EXPECT_THAT(std::string(MakeMetric("meteor", "13a").status().message()),
              HasSubstr("expected bleu, chrf or wer, found 'meteor'"));
  EXPECT_THAT(std::string(MakeMetric("bleu", "intl").status().message()),
              HasSubstr("expected 13a or none, found 'intl'"));
}

TEST(MetricTest, EveryNameHasAMetric) {
  EXPECT_EQ(MetricNames().size(), 3u);
  for (const std::string& name : MetricNames()) {
    EXPECT_TRUE(MakeMetric(name, "none").ok()) << name;
  }
}

}  // namespace
}  // namespace lmserve
