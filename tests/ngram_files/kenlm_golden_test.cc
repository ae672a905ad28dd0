// SPDX-License-Identifier: Apache-2.0
//
// Imports files that KenLM made, see kenlm/README.md, and compares them with
// their ARPA files, whose numbers are exact as floats.

#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "ngram_files/arpa.h"
#include "ngram_files/kenlm_file.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/test_model.h"
#include "text_io/line_reader.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string File(absl::string_view name) {
  return absl::StrCat(LMSERVE_KENLM_FILES, "/", name);
}

// ln P and ln of the back-off weight of each n-gram, by its words.
using Numbers = std::map<std::string, std::pair<float, float>>;

std::string Words(const Vocabulary& vocabulary, absl::Span<const WordId> ids) {
  return absl::StrJoin(ids, " ", [&](std::string* out, WordId word) {
    absl::StrAppend(out, vocabulary.word(word));
  });
}

Numbers NumbersOf(ImportedNgrams imported) {
  const BuiltNgramModel built =
      BuildModel(std::move(imported.vocabulary), imported.table);
  Numbers numbers;
  for (int k = 1; k <= built.model->order(); ++k) {
    built.model->ForEach(k, [&](const NgramModel::Ngram& ngram) {
      numbers[Words(built.model->vocabulary(), ngram.words)] = {ngram.log_prob,
                                                                ngram.backoff};
    });
  }
  return numbers;
}

Numbers FromArpa(absl::string_view name) {
  return NumbersOf(
      ReadArpa(**LineReader::Open(File(absl::StrCat(name, ".arpa"))), {})
          .value());
}

ImportedNgrams FromKenlm(absl::string_view name) {
  absl::StatusOr<ImportedNgrams> model = ReadKenlm(File(name), {});
  EXPECT_TRUE(model.ok()) << model.status();
  return *std::move(model);
}

// The probability to which an n-gram of a model backs off.
float BackedOff(const Numbers& numbers, const std::string& ngram) {
  const size_t first = ngram.find(' ');
  const std::string suffix = ngram.substr(first + 1);
  const auto found = numbers.find(suffix);
  const float prob =
      found != numbers.end() ? found->second.first : BackedOff(numbers, suffix);
  const auto context = numbers.find(ngram.substr(0, ngram.rfind(' ')));
  return prob + (context != numbers.end() ? context->second.second : 0);
}

TEST(KenlmGolden, ExactTries) {
  const Numbers expected = FromArpa("tiny");
  EXPECT_EQ(expected.size(), 293u);
  for (const char* kind : {"trie", "array.trie"}) {
    ImportedNgrams model = FromKenlm(absl::StrCat("tiny.", kind));
    EXPECT_THAT(model.warnings, IsEmpty());
    EXPECT_EQ(model.properties.at("blanks"), "43 left out");
    EXPECT_EQ(NumbersOf(std::move(model)), expected) << kind;
  }
}

// There are more bins than n-grams, so the values are exact. Blanks stay.
TEST(KenlmGolden, QuantizedTries) {
  const Numbers expected = FromArpa("tiny");
  for (const char* kind : {"quantized.trie", "quantized-array.trie"}) {
    const Numbers found = NumbersOf(FromKenlm(absl::StrCat("tiny.", kind)));
    size_t blanks = 0;
    for (const auto& [ngram, values] : found) {
      if (expected.contains(ngram)) {
        EXPECT_EQ(values, expected.at(ngram)) << kind << " " << ngram;
        continue;
      }
      ++blanks;
      EXPECT_NEAR(values.first, BackedOff(expected, ngram), 1e-5) << ngram;
      EXPECT_EQ(values.second, 0) << ngram;
    }
    EXPECT_EQ(blanks, 43u);
    EXPECT_EQ(found.size(), expected.size() + blanks);
  }
}

// Order 8; the ARPA file has no <unk>.
TEST(KenlmGolden, HighOrder) {
  const Numbers expected = FromArpa("deep");
  ImportedNgrams exact = FromKenlm("deep.trie");
  EXPECT_EQ(exact.table.order(), 8);
  EXPECT_THAT(exact.warnings, ElementsAre(HasSubstr("as KenLM gives it")));
  EXPECT_EQ(NumbersOf(std::move(exact)), expected);
  const Numbers quantized = NumbersOf(FromKenlm("deep.quantized-array.trie"));
  for (const auto& [ngram, values] : expected) {
    ASSERT_TRUE(quantized.contains(ngram)) << ngram;
    EXPECT_EQ(quantized.at(ngram), values) << ngram;
  }
}

// The ARPA file has <unk> and <UNK>, which both are word 0, with the numbers of
// the second one. The file has room for one word more than it has.
TEST(KenlmGolden, BothUnknownWords) {
  ImportedNgrams model = FromKenlm("both.trie");
  EXPECT_THAT(model.warnings, IsEmpty());
  EXPECT_EQ(model.vocabulary.size(), 5u);
  const Numbers found = NumbersOf(std::move(model));
  EXPECT_EQ(found.size(), 5u + 3u);
  EXPECT_EQ(found.at("<unk>"), std::pair(NaturalLog(-3), 0.0f));
  EXPECT_EQ(found.at("a <unk>"), std::pair(NaturalLog(-1), 0.0f));
  EXPECT_EQ(found.at("a"), std::pair(NaturalLog(-0.75), NaturalLog(-0.25)));
}

// What KenLM returns for a text.
struct KenlmText {
  bool after_begin = false;
  std::vector<std::string> words;  // </s> is the last one
  std::vector<int> lengths;
  std::vector<double> log10s;
};

std::vector<KenlmText> KenlmTexts() {
  std::vector<KenlmText> texts;
  const auto lines = LineReader::Open(File("tiny.scores.tsv")).value();
  std::string last;
  for (absl::string_view line; lines->Next(&line);) {
    if (absl::StartsWith(line, "#")) continue;
    const std::vector<std::string> row = absl::StrSplit(line, '\t');
    if (row[0] != last) texts.emplace_back();
    last = row[0];
    KenlmText& text = texts.back();
    text.after_begin = row[1] == "1";
    text.words.push_back(row[2]);
    EXPECT_TRUE(absl::SimpleAtoi(row[3], &text.lengths.emplace_back()));
    EXPECT_TRUE(absl::SimpleAtod(row[4], &text.log10s.emplace_back()));
  }
  return texts;
}

// Compares the scores of a model of tiny.arpa with and without <s>, and the
// lengths of n-grams, with those of KenLM. KenLM also counts n-grams that the
// file does not have: suffixes of others, which it adds.
void ExpectKenlmScores(const LanguageModel& model, const Numbers& ngrams) {
  int added = 0;
  for (const KenlmText& text : KenlmTexts()) {
    std::vector<std::byte> state(model.state_size());
    if (text.after_begin) {
      model.Start(state.data());
    } else {
      ASSERT_TRUE(model.StartEmpty(state.data()));
    }
    std::vector<WordId> words;
    std::vector<std::string> read;  // with <s>, as the model reads them
    if (text.after_begin) read.emplace_back("<s>");
    for (const std::string& word : text.words) {
      words.push_back(model.vocabulary().Find(word));
    }
    std::vector<float> log_probs(words.size());
    std::vector<uint8_t> lengths(words.size());
    model.Score({{state.data(), words, nullptr, absl::MakeSpan(log_probs),
                  absl::MakeSpan(lengths)}});
    for (size_t i = 0; i < words.size(); ++i) {
      EXPECT_NEAR(log_probs[i] / kLn10, text.log10s[i], 1e-5);
      read.emplace_back(model.vocabulary().word(words[i]));
      const auto is_ngram = [&](int length) {
        return ngrams.contains(
            absl::StrJoin(read.end() - length, read.end(), " "));
      };
      int expected = text.lengths[i];
      added += !is_ngram(expected);
      while (!is_ngram(expected)) --expected;
      EXPECT_EQ(lengths[i], expected) << absl::StrJoin(read, " ");
    }
  }
  EXPECT_GT(added, 10);
}

TEST(KenlmGolden, ScoresAndLengthsOfNgrams) {
  const Numbers ngrams = FromArpa("tiny");
  const auto table = [] {
    ImportedNgrams arpa =
        ReadArpa(**LineReader::Open(File("tiny.arpa")), {}).value();
    return TableModel{std::move(arpa.vocabulary), std::move(arpa.table)};
  };
  const TableModel fast = table();
  ExpectKenlmScores(*BuildModel(table().vocabulary, fast.table).model, ngrams);
  ExpectKenlmScores(*ValueTestModel(table(), /*quantize_bits=*/0).model,
                    ngrams);
}

TEST(KenlmGolden, ProbingHashTablesAreRefused) {
  EXPECT_THAT(ReadKenlm(File("tiny.probing"), {}).status().message(),
              HasSubstr("byte 96: kind: expected a trie, found probing hash "
                        "tables"));
}

}  // namespace
}  // namespace lmserve
