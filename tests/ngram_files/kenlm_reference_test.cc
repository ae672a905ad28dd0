// SPDX-License-Identifier: Apache-2.0
//
// Compares models of real corpora with those of KenLM's lmplz and query. lmplz
// miscounts the last few n-grams of a corpus when it computes the discounts, so
// the results differ slightly.

#include <array>
#include <cmath>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/text.h"
#include "ngram_files/arpa.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/shared_data.h"
#include "tests/testing/test_model.h"
#include "trainer/evaluation/evaluate.h"

namespace lmserve {
namespace {

constexpr double kTrainingTolerance = 2e-3;  // in log10 P per word
constexpr double kServingTolerance = 1e-5;

// The largest of many deviations, with a description of where it occurred.
class Worst {
 public:
  void Add(double found, double expected, absl::string_view what) {
    const double deviation = std::abs(found - expected);
    if (deviation <= deviation_) return;
    deviation_ = deviation;
    what_ = absl::StrCat(what, ": found ", found, ", expected ", expected);
  }

  void ExpectBelow(double tolerance) const {
    EXPECT_LT(deviation_, tolerance) << what_;
  }

 private:
  double deviation_ = 0;
  std::string what_;
};

double Number(absl::string_view text) {
  double number;
  if (!absl::SimpleAtod(text, &number)) std::abort();
  return number;
}

class KenlmReferenceTest : public testing::Test {
 protected:
  using Row = std::vector<std::string>;

  void SetUp() override {
    if (SharedFile("reference/kenlm").empty() || SharedFile("data").empty()) {
      GTEST_SKIP() << "the corpora and the results of KenLM are not installed";
    }
  }

  static std::vector<std::string> Lines(absl::string_view corpus) {
    return ReadSharedLines(SharedFile(absl::StrCat("data/", corpus, ".xz")));
  }

  static std::string Text(absl::string_view corpus) {
    return absl::StrJoin(Lines(corpus), "\n");
  }

  static std::unique_ptr<LineReader> Open(absl::string_view name) {
    return LineReader::Open(
               SharedFile(absl::StrCat("reference/kenlm/", name, ".xz")))
        .value();
  }

  // Returns the rows of a table, split into fields.
  static std::vector<Row> Rows(absl::string_view name) {
    std::vector<Row> rows;
    for (const std::string& line : ReadSharedLines(
             SharedFile(absl::StrCat("reference/kenlm/", name, ".xz")))) {
      if (line[0] != '#') rows.push_back(absl::StrSplit(line, '\t'));
    }
    return rows;
  }

  static void ExpectCounts(const NgramModel& model,
                           const std::vector<size_t>& counts) {
    ASSERT_EQ(model.order(), static_cast<int>(counts.size()));
    for (int k = 1; k <= model.order(); ++k) {
      EXPECT_EQ(model.Count(k), counts[k - 1]) << "order " << k;
    }
  }

  // Compares discounts. A note is "order 1: discounts 0.606991
  // 0.934093 1.54051".
  static void ExpectDiscounts(
      const std::vector<std::string>& notes,
      const std::vector<std::array<double, 3>>& expected) {
    ASSERT_EQ(notes.size(), expected.size());
    for (size_t i = 0; i < notes.size(); ++i) {
      const std::vector<std::string> words = absl::StrSplit(notes[i], ' ');
      ASSERT_EQ(words.size(), 6u) << notes[i];
      for (int d = 0; d < 3; ++d) {
        EXPECT_NEAR(Number(words[3 + d]) / expected[i][d], 1, 1e-3) << notes[i];
      }
    }
  }

  // Compares log10 P and the length of the matched n-gram for every word of a
  // text.
  static void ExpectWords(const NgramModel& model, const std::vector<Row>& rows,
                          double tolerance) {
    std::vector<std::byte> state(model.state_size());
    Worst worst;
    int other_lengths = 0;
    std::string sentence;
    for (const Row& row : rows) {
      if (row[0] != sentence) model.Start(state.data());
      sentence = row[0];
      const NgramModel::Step step =
          model.ScoreWord(state.data(), model.vocabulary().Find(row[1]));
      worst.Add(step.log_prob / kLn10, Number(row[3]), absl::StrJoin(row, " "));
      other_lengths += absl::StrCat(step.order) != row[2];
    }
    EXPECT_GT(rows.size(), 10'000u);
    EXPECT_EQ(other_lengths, 0);
    worst.ExpectBelow(tolerance);
  }

  // Compares the length of the n-gram of every word with KenLM's, in a model of
  // any layout.
  static void ExpectLengths(const LanguageModel& model,
                            const std::vector<Row>& rows) {
    std::vector<std::byte> start(model.state_size());
    model.Start(start.data());
    int other_lengths = 0;
    for (size_t begin = 0, end = 0; begin < rows.size(); begin = end) {
      std::vector<WordId> words;
      for (; end < rows.size() && rows[end][0] == rows[begin][0]; ++end) {
        words.push_back(model.vocabulary().Find(rows[end][1]));
      }
      std::vector<uint8_t> lengths(words.size());
      model.Score(
          {{start.data(), words, nullptr, {}, absl::MakeSpan(lengths)}});
      for (size_t i = 0; i < words.size(); ++i) {
        other_lengths += absl::StrCat(lengths[i]) != rows[begin + i][2];
      }
    }
    EXPECT_EQ(other_lengths, 0);
  }

  // Compares log10 P per word and the number of unknown words for every
  // sentence of a text.
  static void ExpectSentences(const NgramModel& model,
                              const std::vector<std::string>& sentences,
                              const std::vector<Row>& rows) {
    ASSERT_EQ(sentences.size(), rows.size());
    Worst worst;
    for (size_t i = 0; i < rows.size(); ++i) {
      std::vector<WordId> words;
      for (absl::string_view word : SplitWords(sentences[i])) {
        words.push_back(model.vocabulary().Find(word));
      }
      EXPECT_EQ(absl::StrCat(std::count(words.begin(), words.end(),
                                        model.vocabulary().unknown())),
                rows[i][2])
          << sentences[i];
      words.push_back(model.vocabulary().end_sentence());
      worst.Add(Log10(model, words) / words.size(),
                Number(rows[i][1]) / words.size(), sentences[i]);
    }
    worst.ExpectBelow(kTrainingTolerance);
  }

  static double Log10(const NgramModel& model,
                      const std::vector<WordId>& words) {
    std::vector<std::byte> state(model.state_size());
    model.Start(state.data());
    std::vector<float> log_probs(words.size());
    model.Score({{state.data(), words, nullptr, absl::MakeSpan(log_probs)}});
    double sum = 0;
    for (float log_prob : log_probs) sum += log_prob;
    return sum / kLn10;
  }

  static void ExpectPerplexity(const LanguageModel& model,
                               absl::string_view corpus, double with_unknown,
                               double without_unknown) {
    Progress quiet("", /*quiet=*/true);
    const std::unique_ptr<LineReader> lines =
        LineReader::FromString(Text(corpus));
    const Evaluation result =
        Evaluate(model, *lines, TextForm::kSentences, quiet).value();
    EXPECT_NEAR(result.Perplexity() / with_unknown, 1, 2e-4) << corpus;
    EXPECT_NEAR(result.PerplexityExcludingOov() / without_unknown, 1, 2e-4)
        << corpus;
  }

  // Expects that a model keeps its numbers in an ARPA file.
  static void ExpectSameInArpa(const NgramModel& model,
                               const std::vector<Row>& rows) {
    std::ostringstream arpa;
    ASSERT_TRUE(WriteArpa(model, arpa).ok());
    const BuiltNgramModel read = BuildFromArpa(arpa.str());
    std::vector<std::byte> state(model.state_size()), read_state(state);
    Worst worst;
    int other_lengths = 0;
    std::string sentence;
    for (const Row& row : rows) {
      if (row[0] != sentence) {
        model.Start(state.data());
        read.model->Start(read_state.data());
      }
      sentence = row[0];
      const auto expected =
          model.ScoreWord(state.data(), model.vocabulary().Find(row[1]));
      const auto found = read.model->ScoreWord(
          read_state.data(), read.model->vocabulary().Find(row[1]));
      worst.Add(found.log_prob / kLn10, expected.log_prob / kLn10, row[1]);
      other_lengths += found.order != expected.order;
    }
    EXPECT_EQ(other_lengths, 0);
    worst.ExpectBelow(kServingTolerance);
  }

  // log10 P and the back-off weight of each n-gram in an ARPA file of KenLM,
  // which separates fields by tabs.
  using Entries = std::map<std::string, std::pair<double, double>>;
  static Entries ReadEntries(absl::string_view name) {
    const auto reader = Open(name);
    Entries entries;
    absl::string_view line;
    while (reader->Next(&line)) {
      const Row row = absl::StrSplit(line, '\t');
      if (row.size() < 2) continue;
      entries[row[1]] = {Number(row[0]),
                         row.size() == 3 ? Number(row[2]) : 0.0};
    }
    return entries;
  }

  static void ExpectEntries(const NgramModel& model, const Entries& entries) {
    Worst log_probs, backoffs;
    size_t found = 0;
    for (int k = 1; k <= model.order(); ++k) {
      model.ForEach(k, [&](const NgramModel::Ngram& ngram) {
        const std::string words =
            absl::StrJoin(ngram.words, " ", [&](std::string* out, WordId word) {
              absl::StrAppend(out, model.vocabulary().word(word));
            });
        const auto entry = entries.find(words);
        if (entry == entries.end()) return;
        ++found;
        backoffs.Add(ngram.backoff / kLn10, entry->second.second, words);
        // KenLM writes log10 P = 0 for <s>, which is never predicted.
        if (words == kBeginSentence) return;
        log_probs.Add(ngram.log_prob / kLn10, entry->second.first, words);
      });
    }
    EXPECT_EQ(found, entries.size());
    log_probs.ExpectBelow(kTrainingTolerance);
    backoffs.ExpectBelow(kTrainingTolerance);
  }
};

const std::array<double, 3> kDiscounts1 = {0.606991, 0.934093, 1.54051};
const std::array<double, 3> kDiscounts2 = {0.750057, 1.08576, 1.45836};
const std::vector<std::array<double, 3>> kDiscounts = {
    kDiscounts1,
    kDiscounts2,
    {0.835173, 1.14724, 1.36601},
    {0.900754, 1.22952, 1.45687},
    {0.92953, 1.19677, 1.39911}};

TEST_F(KenlmReferenceTest, Multi30kOrder3) {
  const TrainedNgramModel trained = TrainModel(Text("multi30k/train.en"), 3);
  const NgramModel& model = *trained.model;
  ExpectCounts(model, {10213, 80002, 174840});
  ExpectDiscounts(trained.notes,
                  {kDiscounts1, kDiscounts2, {0.817929, 1.0813, 1.27368}});
  ExpectEntries(model, ReadEntries("multi30k-en.o3.arpa"));
  const std::vector<Row> words = Rows("multi30k-en.o3.test2016.tsv");
  ExpectWords(model, words, kTrainingTolerance);
  ExpectSameInArpa(model, words);
  ExpectPerplexity(model, "multi30k/val.en", 37.4270, 33.4834);
  ExpectPerplexity(model, "multi30k/test2016.en", 37.0298, 33.5844);
}

TEST_F(KenlmReferenceTest, Multi30kOrder5) {
  const TrainedNgramModel trained = TrainModel(Text("multi30k/train.en"), 5);
  const NgramModel& model = *trained.model;
  ExpectCounts(model, {10213, 80002, 174840, 244283, 272048});
  ExpectDiscounts(trained.notes, kDiscounts);
  const std::vector<Row> words = Rows("multi30k-en.o5.test2016.tsv");
  ExpectWords(model, words, kTrainingTolerance);
  ExpectLengths(model, words);
  ExpectLengths(*CompactTestModel(Text("multi30k/train.en"), 5, {}).model,
                words);
  ExpectLengths(
      *ValueTestModel(TrainTable(Text("multi30k/train.en"), 5), 0).model,
      words);
  ExpectSameInArpa(model, words);
  ExpectPerplexity(model, "multi30k/val.en", 36.1206, 32.2984);
  ExpectPerplexity(model, "multi30k/test2016.en", 35.7995, 32.4450);
}

// The discounts are computed from the counts before pruning.
TEST_F(KenlmReferenceTest, Multi30kOrder5Pruned) {
  EstimateOptions options;
  options.prune = {0, 0, 1};
  const TrainedNgramModel trained =
      TrainModel(Text("multi30k/train.en"), 5, options);
  const NgramModel& model = *trained.model;
  ExpectCounts(model, {10213, 80002, 33807, 26850, 16152});
  ExpectDiscounts(trained.notes, kDiscounts);
  const std::vector<Row> words = Rows("multi30k-en.o5p.test2016.tsv");
  ExpectWords(model, words, kTrainingTolerance);
  ExpectLengths(model, words);
  ExpectLengths(
      *ValueTestModel(TrainTable(Text("multi30k/train.en"), 5, options), 0)
           .model,
      words);
  ExpectSameInArpa(model, words);
}

TEST_F(KenlmReferenceTest, ArpaFileOfKenlm) {
  const std::unique_ptr<LineReader> lines = Open("multi30k-en.o3.arpa");
  ImportedNgrams arpa = ReadArpa(*lines, ArpaOptions()).value();
  EXPECT_THAT(arpa.warnings, testing::IsEmpty());
  const BuiltNgramModel built =
      BuildModel(std::move(arpa.vocabulary), arpa.table);
  ExpectCounts(*built.model, {10213, 80002, 174840});
  ExpectWords(*built.model, Rows("multi30k-en.o3.test2016.tsv"),
              kServingTolerance);
  ExpectPerplexity(*built.model, "multi30k/test2016.en", 37.0298, 33.5844);
}

TEST_F(KenlmReferenceTest, BrownOrder3) {
  const TrainedNgramModel trained = TrainModel(Text("brown/train.txt"), 3);
  ExpectPerplexity(*trained.model, "brown/valid.txt", 254.2685, 223.8972);
  ExpectPerplexity(*trained.model, "brown/test.txt", 236.2918, 210.4549);
}

TEST_F(KenlmReferenceTest, BrownOrder5) {
  const TrainedNgramModel trained = TrainModel(Text("brown/train.txt"), 5);
  ExpectPerplexity(*trained.model, "brown/valid.txt", 252.4419, 222.2999);
  ExpectPerplexity(*trained.model, "brown/test.txt", 234.5918, 208.9489);
  ExpectSentences(*trained.model, Lines("brown/test.txt"),
                  Rows("brown.o5.test.tsv"));
}

TEST_F(KenlmReferenceTest, WikiText2Order5) {
  const TrainedNgramModel trained = TrainModel(Text("wikitext-2/train.txt"), 5);
  ExpectCounts(*trained.model, {33280, 619591, 1398959, 1794725, 1914265});
  ExpectPerplexity(*trained.model, "wikitext-2/test.txt", 224.8116, 224.8116);
  ExpectSentences(*trained.model, Lines("wikitext-2/test.txt"),
                  Rows("wikitext-2.o5.test.tsv"));
}

}  // namespace
}  // namespace lmserve
