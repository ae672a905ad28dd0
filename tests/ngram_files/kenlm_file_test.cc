// SPDX-License-Identifier: Apache-2.0
#include "ngram_files/kenlm_file.h"

#include <cmath>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/ngram/fast/ngram_builder.h"
#include "ngram_files/arpa.h"
#include "ngram_files/kenlm_trie.h"
#include "tests/testing/kenlm_writer.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;
using Words = std::vector<std::string>;

const KenlmKind kKinds[] = {
    {},         {.pointer_bits = 22}, {5, 5, -1},
    {6, 7, 22}, {.pointer_bits = 0},  {.pointer_bits = 1}};

std::string KindName(const KenlmKind& kind) {
  return absl::StrCat(kind.prob_bits, "/", kind.backoff_bits, "/",
                      kind.pointer_bits);
}

// Makes n-grams from "a b c -1 -0.5" (words, log10 P and back-off weight).
KenlmNgrams Ngrams(const std::vector<std::string>& lines) {
  KenlmNgrams ngrams;
  for (const std::string& line : lines) {
    Words fields = absl::StrSplit(line, ' ');
    KenlmNgram values;
    values.backoff = std::stof(fields.back());
    fields.pop_back();
    values.prob = std::stof(fields.back());
    fields.pop_back();
    ngrams[fields] = values;
  }
  return ngrams;
}

const std::vector<std::string> kTiny = {
    "<unk> -2 0",    "<s> -99 -0.5",   "</s> -1.25 0",
    "a -0.75 -0.25", "b -1.5 -0.125",  "<s> a -0.5 -0.25",
    "a b -1 0",      "b </s> -0.25 0", "<s> a b -0.375 0"};

KenlmNgrams Tiny(const std::vector<std::string>& more = {}) {
  std::vector<std::string> lines = kTiny;
  lines.insert(lines.end(), more.begin(), more.end());
  return Ngrams(lines);
}

absl::StatusOr<ImportedNgrams> Import(const KenlmNgrams& ngrams,
                                      const KenlmOptions& options = {},
                                      const KenlmKind& kind = {}) {
  return ParseKenlm(WriteKenlm(ngrams, kind), "file", options);
}

ImportedNgrams FromArpa(const KenlmNgrams& ngrams) {
  return ReadArpa(*LineReader::FromString(KenlmArpa(ngrams)), {}).value();
}

// The bytes of the model and of its vocabulary.
std::string Bytes(const ImportedNgrams& model) {
  return absl::StrCat(model.vocabulary.text(),
                      BuildNgramFile(model.table).value());
}

size_t Count(const ImportedNgrams& model, int order) {
  return model.table.levels[order - 1].size();
}

// Returns log10 P of each word after <s> and those before it.
std::vector<double> Score(ImportedNgrams model, const Words& words) {
  const BuiltNgramModel built =
      BuildModel(std::move(model.vocabulary), model.table);
  std::vector<std::byte> state(built.model->state_size());
  built.model->Start(state.data());
  std::vector<double> scores;
  for (const std::string& word : words) {
    const WordId id = built.model->vocabulary().Find(word);
    scores.push_back(built.model->ScoreWord(state.data(), id).log_prob / kLn10);
  }
  return scores;
}

TEST(KenlmFile, AllKindsAreTheModelOfTheArpaFile) {
  for (const KenlmKind& kind : kKinds) {
    const absl::StatusOr<ImportedNgrams> model = Import(Tiny(), {}, kind);
    ASSERT_TRUE(model.ok()) << KindName(kind) << model.status();
    EXPECT_EQ(Bytes(*model), Bytes(FromArpa(Tiny()))) << KindName(kind);
    EXPECT_THAT(model->warnings, IsEmpty());
    EXPECT_EQ(model->properties.count("blanks"), 0u);
  }
  EXPECT_EQ(Import(Tiny())->properties.at("source"), "KenLM trie");
  EXPECT_EQ(Import(Tiny(), {}, {8, 8, 22})->properties.at("source"),
            "KenLM quantized trie with array pointers");
}

// Random n-grams of random sentences, with all contexts; if `prunes`, without
// some suffixes.
KenlmNgrams RandomNgrams(int seed, bool prunes) {
  std::minstd_rand random(seed);
  random.discard(5);
  std::uniform_real_distribution<float> number(-3, 0);
  const size_t order = 2 + random() % 7;
  const int vocabulary = 1 + random() % 6;
  Words unigrams = {"<unk>", "<s>", "</s>"};
  for (int i = 0; i < vocabulary; ++i) unigrams.push_back(absl::StrCat("w", i));
  KenlmNgrams ngrams;
  // Few distinct values, so that they can be quantized.
  std::vector<KenlmNgram> values;
  values.reserve(20);
  for (int i = 0; i < 20; ++i) {
    values.push_back({number(random), number(random) / 2});
  }
  const auto add = [&](const Words& ngram) {
    ngrams[ngram] = values[random() % values.size()];
    ngrams[ngram].prob -= ngram.size() / 16.0f;  // not a blank by chance
    if (random() % 3 == 0) ngrams[ngram].backoff = 0;
  };
  for (const std::string& word : unigrams) add({word});
  for (int sentence = 0; sentence < 12; ++sentence) {
    Words words = {"<s>"};
    for (size_t n = random() % 9; n > 0; --n) {
      words.push_back(unigrams[3 + random() % vocabulary]);
    }
    words.push_back("</s>");
    for (size_t size = 2; size <= order; ++size) {
      for (size_t i = 0; i + size <= words.size(); ++i) {
        const Words ngram(words.begin() + i, words.begin() + i + size);
        const bool has_suffix =
            ngrams.contains({ngram.begin() + 1, ngram.end()});
        if (!ngrams.contains({ngram.begin(), ngram.end() - 1}) ||
            ngrams.contains(ngram)) {
          continue;
        }
        if (prunes ? random() % 4 > 0 : has_suffix) add(ngram);
      }
    }
  }
  return ngrams;
}

TEST(KenlmFile, RandomModelsAreThoseOfTheArpaFile) {
  int orders_above_six = 0;
  for (int seed = 0; seed < 150; ++seed) {
    const KenlmNgrams ngrams = RandomNgrams(seed, /*prunes=*/false);
    const ImportedNgrams expected = FromArpa(ngrams);
    orders_above_six += expected.table.order() > 6;
    for (const KenlmKind& kind : kKinds) {
      const absl::StatusOr<ImportedNgrams> model = Import(ngrams, {}, kind);
      ASSERT_TRUE(model.ok()) << seed << KindName(kind) << model.status();
      EXPECT_EQ(Bytes(*model), Bytes(expected)) << seed << KindName(kind);
    }
  }
  EXPECT_GT(orders_above_six, 10);
}

// With 63 2-grams, one offset more makes the records shorter by its own size.
// KenLM then chooses the longer records.
TEST(KenlmFile, ArrayPointersThatSaveNothing) {
  KenlmNgrams ngrams = Ngrams({"<unk> -2 0", "<s> -99 0", "</s> -1 0"});
  for (int i = 0; i < 8; ++i) ngrams[{absl::StrCat("w", i)}] = {-1, -0.25};
  for (int i = 0; i < 63; ++i) {
    ngrams[{absl::StrCat("w", i / 8), absl::StrCat("w", i % 8)}] = {-0.5, 0};
  }
  for (int i = 0; i < 5; ++i) {
    ngrams[{absl::StrCat("w", i), "w2", "w3"}] = {-0.125, 0};
  }
  const KenlmKind kind = {.pointer_bits = 22};
  const absl::StatusOr<KenlmLayout> layout =
      ReadKenlmLayout(WriteKenlm(ngrams, kind));
  ASSERT_TRUE(layout.ok()) << layout.status();
  EXPECT_EQ(layout->levels[0].offsets, 1u);
  EXPECT_EQ(layout->levels[0].next_bits, 3);
  EXPECT_EQ(Bytes(Import(ngrams, {}, kind).value()), Bytes(FromArpa(ngrams)));
}

// Exact values: blanks are left out. Quantized: they stay, and nothing else
// changes, since the values of the test are quantized without loss.
TEST(KenlmFile, RandomPrunedModelsAreThoseOfTheArpaFile) {
  int with_blanks = 0;
  for (int seed = 0; seed < 150; ++seed) {
    const KenlmNgrams ngrams = RandomNgrams(seed, /*prunes=*/true);
    const ImportedNgrams expected = FromArpa(ngrams);
    for (const KenlmKind& kind : {KenlmKind(), KenlmKind{.pointer_bits = 9}}) {
      const absl::StatusOr<ImportedNgrams> model = Import(ngrams, {}, kind);
      ASSERT_TRUE(model.ok()) << seed << KindName(kind) << model.status();
      ASSERT_EQ(Bytes(*model), Bytes(expected)) << seed << KindName(kind);
      with_blanks += model->properties.count("blanks");
    }
    const KenlmKind quantized = {12, 12, seed % 2 == 0 ? -1 : 8};
    absl::StatusOr<ImportedNgrams> model = Import(ngrams, {}, quantized);
    ASSERT_TRUE(model.ok()) << seed << model.status();
    const Words text = {"w0", "w1", "w0", "w0", "w2", "w1",
                        "w0", "x",  "w3", "w0", "w1", "</s>"};
    const std::vector<double> scores = Score(*std::move(model), text);
    const std::vector<double> expected_scores = Score(FromArpa(ngrams), text);
    for (size_t i = 0; i < scores.size(); ++i) {
      EXPECT_NEAR(scores[i], expected_scores[i], 1e-5) << seed << " word " << i;
    }
  }
  EXPECT_GT(with_blanks, 100);
}

// "c d" and "b c d" are blanks.
TEST(KenlmFile, ChainOfBlanks) {
  const KenlmNgrams ngrams = Tiny({"c -1 -0.3", "d -2.1 0", "a b c -0.1 -0.7",
                                   "b c -0.2 -0.9", "a b c d -0.4 0"});
  const ImportedNgrams model = Import(ngrams).value();
  EXPECT_EQ(model.properties.at("blanks"), "2 left out");
  EXPECT_EQ(Bytes(model), Bytes(FromArpa(ngrams)));
  const ImportedNgrams quantized = Import(ngrams, {}, {4, 4, -1}).value();
  EXPECT_EQ(quantized.properties.count("blanks"), 0u);
  EXPECT_EQ(Count(quantized, 2), Count(model, 2) + 1);
  EXPECT_EQ(Count(quantized, 3), Count(model, 3) + 1);
}

// The file has no sign for the probability of "a c", 10^0.75 of P(c).
TEST(KenlmFile, BlankThatIsMoreProbableThanOne) {
  const KenlmNgrams ngrams =
      Ngrams({"<unk> -2 0", "<s> -99 0", "</s> -1 0", "a -1 0.75", "b -1 0",
              "c -0.5 0", "b a -1 0.5", "b a c -0.25 0"});
  const ImportedNgrams model = Import(ngrams).value();
  EXPECT_EQ(model.properties.at("blanks"), "1 left out");
  EXPECT_EQ(Bytes(model), Bytes(FromArpa(ngrams)));
}

// An n-gram with exactly the probability to which it backs off is the same
// model without it; but it stays if it is a context.
TEST(KenlmFile, NgramsThatLookLikeBlanks) {
  const std::vector<std::string> more = {"b a -0.875 0", "c -1 0"};
  const ImportedNgrams left_out = Import(Tiny(more)).value();
  EXPECT_EQ(left_out.properties.at("blanks"), "1 left out");
  EXPECT_EQ(Bytes(left_out), Bytes(FromArpa(Tiny({"c -1 0"}))));
  const KenlmNgrams context =
      Tiny({"b a -0.875 0", "c -1 0", "b a c -0.5 0", "a c -0.625 0"});
  const ImportedNgrams kept = Import(context).value();
  EXPECT_EQ(kept.properties.count("blanks"), 0u);
  EXPECT_EQ(Bytes(kept), Bytes(FromArpa(context)));
}

TEST(KenlmFile, UnknownWordThatTheArpaFileDidNotHave) {
  KenlmNgrams ngrams = Tiny();
  ngrams[{"<unk>"}].prob = -100;
  const ImportedNgrams model = Import(ngrams).value();
  EXPECT_FLOAT_EQ(model.table.levels[0].log_probs[0] / kLn10, -100);
  EXPECT_THAT(model.warnings,
              ElementsAre("<unk> has the log10 probability -100, as KenLM "
                          "gives it if the ARPA file has no <unk> (see "
                          "--unknown-log10)"));
  const ImportedNgrams replaced =
      Import(ngrams, {.unknown_log10 = -5, .strict = true}).value();
  EXPECT_FLOAT_EQ(replaced.table.levels[0].log_probs[0] / kLn10, -5);
  EXPECT_THAT(replaced.warnings, IsEmpty());
  const absl::Status strict = Import(ngrams, {.strict = true}).status();
  EXPECT_EQ(strict.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(strict.message()), StartsWith("file: <unk> has"));
}

// As for ARPA files.
TEST(KenlmFile, UnknownWordOfProbabilityZero) {
  KenlmNgrams ngrams = Tiny();
  ngrams[{"<unk>"}].prob = -99;
  const ImportedNgrams model = Import(ngrams).value();
  EXPECT_EQ(model.table.levels[0].log_probs[0], -INFINITY);
  EXPECT_EQ(model.warnings, FromArpa(ngrams).warnings);
  const ImportedNgrams ignored = Import(Tiny(), {.unknown_log10 = -5}).value();
  EXPECT_THAT(ignored.warnings,
              ElementsAre("--unknown-log10 ignored: the file gives <unk> the "
                          "log10 probability -2"));
}

// build_binary -s accepts such files.
TEST(KenlmFile, NoSentenceMarkers) {
  const KenlmNgrams ngrams = Ngrams({"<unk> -1 0", "a -0.5 0", "a a -0.25 0"});
  const ImportedNgrams model = Import(ngrams).value();
  EXPECT_THAT(model.warnings,
              ElementsAre(HasSubstr("no <s>"), HasSubstr("no </s>")));
  EXPECT_EQ(model.warnings, FromArpa(ngrams).warnings);
  EXPECT_EQ(Bytes(model), Bytes(FromArpa(ngrams)));
}

TEST(KenlmFile, NgramsThatNoTextCanUseAreLeftOut) {
  const KenlmNgrams ngrams =
      Tiny({"a\fx -1 -0.5", "a <s> -1 -0.5", "a <s> b -1 0", "a\fx b -1 0",
            "b a\fx -1 -0.25", "b a\fx b -0.5 0", "<s> b -0.25 0",
            "a a\fx -0.25 0"});
  const ImportedNgrams model = Import(ngrams).value();
  EXPECT_THAT(model.warnings,
              ElementsAre("2 n-grams with <s> after the first word ignored",
                          "5 n-grams left out, because a word contains white "
                          "space, at which texts are split"));
  EXPECT_EQ(Bytes(model), Bytes(FromArpa(ngrams)));
  EXPECT_FALSE(Import(ngrams, {.strict = true}).ok());
}

TEST(KenlmFile, ProbabilityAndWeightOfZero) {
  for (const KenlmKind& kind : kKinds) {
    const KenlmNgrams ngrams =
        Tiny({"b a -99 -99", "b a b -0.5 0", "a </s> 0 0"});
    const absl::StatusOr<ImportedNgrams> model = Import(ngrams, {}, kind);
    ASSERT_TRUE(model.ok()) << model.status();
    EXPECT_EQ(Bytes(*model), Bytes(FromArpa(ngrams))) << KindName(kind);
  }
}

TEST(KenlmFile, OnlyTheMarkersAndAnEmptyOrder) {
  KenlmNgrams ngrams =
      Ngrams({"<unk> -1 0", "<s> -99 0", "</s> -0.5 0", "<s> </s> -0.25 0"});
  EXPECT_EQ(Bytes(Import(ngrams).value()), Bytes(FromArpa(ngrams)));
}

TEST(KenlmFile, ReadsAFile) {
  const TemporaryDirectory directory;
  const std::string path = directory.File("tiny.trie");
  std::ofstream(path, std::ios::binary) << WriteKenlm(Tiny());
  EXPECT_EQ(Bytes(ReadKenlm(path, {}).value()), Bytes(FromArpa(Tiny())));
  for (const std::string& other : {directory.File("none"), directory.path()}) {
    const absl::Status status = ReadKenlm(other, {}).status();
    EXPECT_THAT(std::string(status.message()),
                StartsWith(absl::StrCat(other, ": ")));
  }
  // A file of probing hash tables is refused by its header.
  std::string probing = WriteKenlm(Tiny());
  probing[96] = 0;
  std::ofstream(path, std::ios::binary) << probing << std::string(5 << 20, 'x');
  const absl::Status status = ReadKenlm(path, {}).status();
  EXPECT_THAT(std::string(status.message()),
              StartsWith(absl::StrCat(path,
                                      ": byte 96: kind: expected a trie, "
                                      "found probing hash tables")));
  EXPECT_THAT(status.message(), HasSubstr("import-arpa"));
}

}  // namespace
}  // namespace lmserve
