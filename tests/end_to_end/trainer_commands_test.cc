// SPDX-License-Identifier: Apache-2.0
//
// Tests the commands of lm_trainer for n-gram models, mixtures and n-best
// lists.

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/end_to_end/programs.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

class TrainerCommandsTest : public testing::Test {
 protected:
  // Runs a command on the model "en" of the store; it must succeed.
  std::string Trainer(Arguments arguments, absl::string_view input = "") {
    arguments.insert(arguments.end(), {"--store", store_, "--model", "en"});
    const Outcome outcome = RunTrainer(arguments, input);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
    errors_ = outcome.errors;
    return outcome.output;
  }

  std::string Train(const std::string& text, Arguments options) {
    options.insert(options.begin(), {"ngram", "--corpus", "-"});
    return Trainer(options, text);
  }

  // Returns the output of `lm_trainer evaluate --json`.
  nlohmann::json Evaluate(const std::string& text) {
    return nlohmann::json::parse(
        Trainer({"evaluate", "--corpus", "-", "--json"}, text));
  }

  std::string NgramFile(int version) {
    return ReadFile(absl::StrCat(store_, "/en/", version, "/ngram.bin"));
  }

  std::string Export() { return Trainer({"export-arpa", "-"}); }

  const TemporaryDirectory directory_;
  const std::string store_ = directory_.File("store");
  std::string errors_;  // of the last command
};

// The text has the 5 tokens a b </s> a </s>. The 4 words that can occur are a,
// b, </s> and <unk>. With additive smoothing, P(a) = P(</s>) = (2 + 1) / (5 +
// 4) and P(<unk>) = 1 / 9.
constexpr char kText[] = "a b\na\n";
const Arguments kAdditive = {"--order", "1", "--smoothing", "additive"};

TEST_F(TrainerCommandsTest, EvaluateJsonHasTheseKeysAndRightValues) {
  EXPECT_EQ(Train(kText, kAdditive), "en@1\n");
  const nlohmann::json json = Evaluate("a c\n");
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.items()) keys.push_back(key);
  EXPECT_THAT(keys, testing::UnorderedElementsAre(
                        "tokens", "oov", "log_prob", "perplexity",
                        "perplexity_excluding_oov", "words_per_second"));
  EXPECT_EQ(json["tokens"], 3);
  EXPECT_EQ(json["oov"], 1);
  EXPECT_NEAR(json["log_prob"], -std::log(81.0), 1e-5);
  EXPECT_NEAR(json["perplexity"], std::cbrt(81.0), 1e-5);
  EXPECT_NEAR(json["perplexity_excluding_oov"], 3, 1e-5);
  EXPECT_GT(json["words_per_second"], 0);
}

TEST_F(TrainerCommandsTest, EvaluateText) {
  Train(kText, kAdditive);
  EXPECT_THAT(Trainer({"evaluate", "--corpus", "-"}, "a c\n\n"),
              testing::StartsWith("tokens                    3\n"
                                  "oov                       1\n"
                                  "log_prob                  -4.3944\n"
                                  "perplexity                4.3267\n"
                                  "perplexity_excluding_oov  3.0000\n"
                                  "words_per_second          "));
}

TEST_F(TrainerCommandsTest, EvaluateJsonHasNullForInfinity) {
  Train(kText, {"--order", "1", "--smoothing", "maximum-likelihood"});
  const nlohmann::json json = Evaluate("c\n");
  EXPECT_TRUE(json["log_prob"].is_null());
  EXPECT_TRUE(json["perplexity"].is_null());
  EXPECT_NEAR(json["perplexity_excluding_oov"], 5.0 / 2, 1e-5);
}

TEST_F(TrainerCommandsTest, Delta) {
  Arguments options = kAdditive;
  options.insert(options.end(), {"--delta", "0.5"});
  Train(kText, options);
  // P(a) = P(</s>) = 2.5 / 7.
  EXPECT_NEAR(Evaluate("a\n")["log_prob"], 2 * std::log(2.5 / 7), 1e-5);
}

TEST_F(TrainerCommandsTest, Alpha) {
  Train(kText,
        {"--order", "2", "--smoothing", "stupid-back-off", "--alpha", "0.3"});
  // <s> b is unseen: 0.3 * 1/5. b is always followed by </s>.
  EXPECT_NEAR(Evaluate("b\n")["log_prob"], std::log(0.3 / 5), 1e-5);
}

// Returns the perplexity of a text under the relative frequencies of its words.
double UnigramPerplexity(const std::string& text) {
  std::map<std::string, double> counts;
  double tokens = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
    for (absl::string_view word :
         absl::StrSplit(line, ' ', absl::SkipEmpty())) {
      ++counts[std::string(word)];
      ++tokens;
    }
    ++counts["</s>"];
    ++tokens;
  }
  double entropy = 0;
  for (const auto& [word, count] : counts) {
    entropy -= count / tokens * std::log(count / tokens);
  }
  return std::exp(entropy);
}

class SmoothingTest : public TrainerCommandsTest,
                      public testing::WithParamInterface<std::string> {};

TEST_P(SmoothingTest, TrainsAndEvaluates) {
  const std::string text = DemoText(2000, 1);
  EXPECT_EQ(Train(text, {"--order", "3", "--smoothing", GetParam()}), "en@1\n");
  EXPECT_THAT(Trainer({"inspect"}), HasSubstr("smoothing   " + GetParam()));
  const nlohmann::json json = Evaluate(text);
  EXPECT_EQ(json["oov"], 0);
  // Context reduces the perplexity, which is at least 1.
  EXPECT_LT(json["perplexity"], UnigramPerplexity(text));
  EXPECT_GT(json["perplexity"], 1);
}

INSTANTIATE_TEST_SUITE_P(All, SmoothingTest,
                         testing::Values("maximum-likelihood", "additive",
                                         "stupid-back-off", "katz",
                                         "witten-bell", "modified-kneser-ney"));

// The text has 6 words, including the markers, and the bigrams <s> a (3 times),
// a b (2), a c (1), b </s> (2) and c </s> (1).
constexpr char kBigrams[] = "a b\na b\na c\n";
const Arguments kWittenBell = {"--order", "2", "--smoothing", "witten-bell"};

Arguments WittenBell(const Arguments& more) {
  Arguments options = kWittenBell;
  options.insert(options.end(), more.begin(), more.end());
  return options;
}

TEST_F(TrainerCommandsTest, NothingIsPrunedByDefault) {
  Train(kBigrams, kWittenBell);
  EXPECT_THAT(Trainer({"inspect"}), HasSubstr("ngrams      6 5\n"));
}

TEST_F(TrainerCommandsTest, Prune) {
  Train(kBigrams, WittenBell({"--prune", "0", "1"}));
  EXPECT_THAT(Trainer({"inspect"}), HasSubstr("ngrams      6 3\n"));
}

// The compact layout has the probabilities of the other one, in less memory,
// and its ARPA file is that of the other one but for the order and rounding.
TEST_F(TrainerCommandsTest, CompactLayout) {
  const std::string text = DemoText(300, 1), other = DemoText(100, 2);
  Train(text, {"--order", "3"});
  const double fast = Evaluate(other)["perplexity"];
  EXPECT_EQ(Train(text, {"--order", "3", "--layout", "compact"}), "en@2\n");
  const double compact = Evaluate(other)["perplexity"];
  EXPECT_NEAR(compact, fast, 1e-5 * fast);
  EXPECT_THAT(Trainer({"inspect"}), HasSubstr("layout      compact"));
  EXPECT_LT(NgramFile(2).size() * 4, NgramFile(1).size());
  const std::string arpa = Export();
  EXPECT_EQ(Trainer({"import-arpa", "-"}, arpa), "en@3\n");
  EXPECT_NEAR(double{Evaluate(other)["perplexity"]}, fast, 1e-5 * fast);
}

// What is wrong in the options is found before the text is read.
TEST_F(TrainerCommandsTest, OptionsAreCheckedFirst) {
  const auto errors = [](const std::string& store, const Arguments& options) {
    Arguments arguments = {"ngram", "--corpus", "/none", "--store",
                           store,   "--model",  "en"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    return RunTrainer(arguments).errors;
  };
  EXPECT_THAT(errors(store_, {"--prune", "1", "0"}),
              HasSubstr("lm_trainer: --prune: expected thresholds"));
  EXPECT_THAT(errors(store_, {"--layout", "compact", "--quantize", "8"}),
              HasSubstr("--quantize: expected a model whose compact layout has "
                        "probabilities"));
  WriteText(directory_.File("file"), "text\n");
  EXPECT_THAT(errors(directory_.File("file"), {}),
              HasSubstr("file: expected a directory, found a file"));
}

// Warnings about an ARPA file name it.
TEST_F(TrainerCommandsTest, ImportArpaWarnings) {
  WriteText(directory_.File("arpa"),
            "\\data\\\nngram 1=3\n\n\\1-grams:\n-1\t<s>\n-1\t</s>\n"
            "-0.5\ta\n\n\\end\\\n");
  Trainer({"import-arpa", directory_.File("arpa")});
  EXPECT_EQ(errors_, absl::StrCat("warning: ", directory_.File("arpa"),
                                  ": the file has no <unk>; using the log10 "
                                  "probability -100 (see --unknown-log10)\n"));
}

TEST_F(TrainerCommandsTest, MinCount) {
  Train(kBigrams, WittenBell({"--min-count", "2"}));
  EXPECT_THAT(errors_, HasSubstr("(1 unknown)"));
  EXPECT_THAT(Trainer({"inspect"}), HasSubstr("ngrams      5 5\n"));
}

TEST_F(TrainerCommandsTest, Vocabulary) {
  WriteText(directory_.File("words"), "a\nnever\n");
  Train(kBigrams, WittenBell({"--vocabulary", directory_.File("words")}));
  // The words are a, never and the markers; the bigrams are <s> a, a <unk> and
  // <unk> </s>.
  EXPECT_THAT(errors_, HasSubstr("(3 unknown)"));
  EXPECT_THAT(Trainer({"inspect"}), HasSubstr("ngrams      5 3\n"));
}

// The text has 9 tokens of the 4 words a, b, </s> and <unk>, which are counted
// once more by additive smoothing.
TEST_F(TrainerCommandsTest, LiteralUnknownWords) {
  const std::string text = "a b <unk>\na <UNK>\na\n";
  const auto train = [&](const std::string& unk) {
    Arguments options = kAdditive;
    options.insert(options.end(), {"--unk", unk});
    Train(text, options);
    EXPECT_EQ(errors_.find("warning") != std::string::npos, unk == "keep");
    return std::exp(Evaluate("zebra\n")["log_prob"].get<double>());
  };
  const double end = (3 + 1) / (9.0 + 4), unknown = (2 + 1) / (9.0 + 4);
  EXPECT_NEAR(train("keep"), unknown * end, 1e-6);
  Train(text, kAdditive);
  EXPECT_THAT(errors_,
              HasSubstr("warning: standard input: 22 % of the tokens are "
                        "<unk>, so the model will give unknown words about "
                        "that probability (see --unk, and 'Unknown words' in "
                        "trainer/README.md)\n"));
  // Without them, 7 tokens.
  EXPECT_NEAR(train("skip"), 1 / (7.0 + 4) * (3 + 1) / (7.0 + 4), 1e-6);
  const Outcome refused = RunTrainer({"ngram", "--unk", "refuse", "--corpus",
                                      "-", "--store", store_, "--model", "en"},
                                     text);
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_THAT(refused.errors, HasSubstr("line 1: expected words, found <unk>"));
}

// Words that --min-count or --vocabulary make unknown are no <unk> in the text.
TEST_F(TrainerCommandsTest, RareWordsGiveNoWarning) {
  Arguments options = kAdditive;
  options.insert(options.end(), {"--min-count", "2"});
  Train("a b\na\n", options);
  EXPECT_THAT(errors_, HasSubstr("(1 unknown)"));
  EXPECT_THAT(errors_, Not(HasSubstr("warning")));
}

TEST_F(TrainerCommandsTest, Valid) {
  WriteText(directory_.File("valid"), "a c\n");
  Arguments options = kAdditive;
  options.insert(options.end(), {"--valid", directory_.File("valid")});
  Train(kText, options);
  EXPECT_THAT(errors_, HasSubstr("validation perplexity 4.3267, 3.0000 without "
                                 "the 1 unknown of 3 tokens"));
}

TEST_F(TrainerCommandsTest, CompressedTextsGiveTheSameModel) {
  const std::string text = DemoText(300, 1);
  EXPECT_EQ(Train(text, {"--order", "3"}), "en@1\n");
  int version = 1;
  for (const std::string packer : {"cat", "gzip", "xz"}) {
    const Outcome packed = RunProgram({packer}, text);
    if (packed.exit_code == 127) GTEST_SKIP() << "no " << packer << " here";
    const std::string file = directory_.File(packer);
    WriteText(file, packed.output);
    Trainer({"ngram", "--corpus", file, "--order", "3"});
    EXPECT_EQ(NgramFile(++version), NgramFile(1)) << packer;
    Trainer({"ngram", "--corpus", "-", "--order", "3"}, packed.output);
    EXPECT_EQ(NgramFile(++version), NgramFile(1)) << packer << " as input";
  }
}

TEST_F(TrainerCommandsTest, ImportedArpaKeepsItsNumbers) {
  WriteText(directory_.File("tiny.arpa"), TinyArpa());
  EXPECT_EQ(Trainer({"import-arpa", directory_.File("tiny.arpa")}), "en@1\n");
  const nlohmann::json json = Evaluate("the cat is small\n");
  EXPECT_EQ(json["tokens"], 5);
  EXPECT_NEAR(json["log_prob"],
              std::log(10) * -(0.3 + 0.18 + 0.22 + 0.17 + 0.21), 1e-5);
}

// The words have other ids, but the model is the same.
TEST_F(TrainerCommandsTest, ImportedKenlmTriesAreTheirArpaFile) {
  const auto file = [](absl::string_view name) {
    return SourcePath(absl::StrCat("tests/ngram_files/kenlm/tiny.", name));
  };
  const std::string text = "the cat is small .\n, house runs zebra\n";
  EXPECT_EQ(Trainer({"import-arpa", file("arpa")}), "en@1\n");
  const nlohmann::json expected = Evaluate(text);
  int version = 1;
  for (const char* kind :
       {"trie", "array.trie", "quantized.trie", "quantized-array.trie"}) {
    EXPECT_EQ(Trainer({"import-kenlm", file(kind)}),
              absl::StrCat("en@", ++version, "\n"));
    EXPECT_EQ(errors_, "");
    const nlohmann::json found = Evaluate(text);
    EXPECT_EQ(found["oov"], expected["oov"]);
    EXPECT_NEAR(found["log_prob"], expected["log_prob"], 1e-4) << kind;
    // The compact layout keeps KenLM's values, quantized or not.
    EXPECT_EQ(Trainer({"import-kenlm", file(kind), "--layout", "compact"}),
              absl::StrCat("en@", ++version, "\n"));
    EXPECT_EQ(Evaluate(text)["log_prob"], found["log_prob"]) << kind;
  }
  EXPECT_THAT(Trainer({"inspect"}),
              HasSubstr("source      KenLM quantized trie with array "
                        "pointers\n"));
  const Outcome probing = RunTrainer(
      {"import-kenlm", file("probing"), "--store", store_, "--model", "en"});
  EXPECT_EQ(probing.exit_code, 1);
  EXPECT_THAT(probing.errors, AllOf(HasSubstr("tiny.probing: byte 96: "),
                                    HasSubstr("import-arpa")));
}

TEST_F(TrainerCommandsTest, ArpaRoundTrip) {
  const std::string file = directory_.File("en.arpa");
  Train(DemoText(300, 1), {"--order", "3", "--arpa", file});
  const std::string arpa = ReadFile(file);
  EXPECT_THAT(arpa, testing::StartsWith("\\data\\\nngram 1="));
  EXPECT_EQ(Export(), arpa);
  EXPECT_EQ(Trainer({"import-arpa", "-"}, arpa), "en@2\n");
  EXPECT_EQ(Export(), arpa);
  const std::string again = directory_.File("again.arpa");
  EXPECT_EQ(Trainer({"export-arpa", again}), "");
  EXPECT_EQ(ReadFile(again), arpa);
}

TEST_F(TrainerCommandsTest, InspectPrintsTheVersionAndTheNextWords) {
  Trainer({"import-arpa", "-"}, TinyArpa());
  EXPECT_THAT(Trainer({"inspect"}),
              testing::AllOf(
                  testing::StartsWith("en@1\nfamily      ngram\n"),
                  HasSubstr("vocabulary  10\n"), HasSubstr("order       3\n"),
                  HasSubstr("source      ARPA file\n"),
                  ContainsRegex("ngram.bin .* sha256 [0-9a-f]{64}\n"),
                  Not(HasSubstr("after <s>"))));
  // The first is ln(10) * -0.17. The others back off and are at most -1.0.
  const std::vector<std::string> parts =
      absl::StrSplit(Trainer({"inspect", "--next", "the cat is", "-k", "2"}),
                     "after <s> the cat is\n");
  ASSERT_EQ(parts.size(), 2);
  EXPECT_THAT(parts[1], ContainsRegex("^   -0.3914  small\n +-[0-9.]+  .*\n$"));
}

TEST_F(TrainerCommandsTest, AliasNamesAVersion) {
  Trainer({"import-arpa", "-"}, TinyArpa());
  Train(kText, kAdditive);
  const auto alias = [&](const std::string& name, const std::string& model) {
    return RunTrainer({"alias", name, "--store", store_, "--model", model});
  };
  EXPECT_EQ(alias("stable", "en@1").output, "en@stable = en@1\n");
  EXPECT_EQ(alias("newest", "en").output, "en@newest = en@2\n");
  const auto inspect = [&](const std::string& model) {
    return RunTrainer({"inspect", "--store", store_, "--model", model}).output;
  };
  EXPECT_THAT(inspect("en@stable"), testing::StartsWith("en@1\n"));
  EXPECT_THAT(inspect("en@newest"), testing::StartsWith("en@2\n"));
  const auto remove = [&](const std::string& name, const std::string& model) {
    return RunTrainer(
        {"alias", name, "--remove", "--store", store_, "--model", model});
  };
  EXPECT_EQ(remove("stable", "en").output, "removed en@stable\n");
  EXPECT_EQ(inspect("en@stable"), "");
  EXPECT_THAT(inspect("en@newest"), testing::StartsWith("en@2\n"));
  EXPECT_EQ(remove("stable", "en").errors,
            "lm_trainer: model 'en' has no alias 'stable'\n");
  EXPECT_EQ(remove("newest", "en@2").exit_code, 1);
  // NAME alone is the version of the alias default.
  EXPECT_EQ(alias("default", "en@1").output, "en@default = en@1\n");
  EXPECT_THAT(inspect("en"), testing::StartsWith("en@1\n"));
  EXPECT_EQ(remove("default", "en").output, "removed en@default\n");
  EXPECT_THAT(inspect("en"), testing::StartsWith("en@2\n"));
}

TEST_F(TrainerCommandsTest, RemovesVersions) {
  for (int i = 0; i < 4; ++i) PublishTinyModel(store_, "en");
  RunTrainer({"alias", "default", "--store", store_, "--model", "en@2"});
  const Arguments remove = {"remove-versions", "--keep", "1"};
  Arguments dry = remove;
  dry.push_back("--dry-run");
  EXPECT_EQ(Trainer(dry), "en@1\nen@3\n");
  EXPECT_EQ(errors_,
            "left en@2: alias default\ndry run: nothing was removed\n");
  EXPECT_EQ(Trainer(remove), "en@1\nen@3\n");
  EXPECT_EQ(errors_, "left en@2: alias default\n");
  EXPECT_EQ(Trainer(remove), "");
  Arguments force = remove;
  force.push_back("--force");
  EXPECT_EQ(Trainer(force), "en@2\nen@default\n");
  EXPECT_EQ(
      errors_,
      "warning: without the alias default, en means its newest version\n");
  EXPECT_THAT(Trainer({"inspect"}), testing::StartsWith("en@4\n"));
  EXPECT_EQ(RunTrainer({"remove-versions", "--keep", "0", "--store", store_,
                        "--model", "en"})
                .exit_code,
            2);
}

class MixtureTest : public TrainerCommandsTest {
 protected:
  MixtureTest() {
    Train(DemoText(500, 1), {"--order", "3"});
    // A model with the same vocabulary, of another text.
    const Outcome outcome = RunTrainer(
        {"ngram", "--corpus", "-", "--order", "2", "--vocabulary",
         store_ + "/en/1/vocabulary.txt", "--store", store_, "--model", "two"},
        DemoText(200, 2));
    EXPECT_EQ(outcome.output, "two@1\n") << outcome.errors;
  }

  // Returns the output of `lm_trainer mixture --json`, which publishes "en".
  nlohmann::json Mix(Arguments options, const std::string& text) {
    options.insert(options.begin(), {"mixture", "--corpus", "-", "--json"});
    return nlohmann::json::parse(Trainer(options, text));
  }

  nlohmann::json EvaluateModel(const std::string& model,
                               const std::string& text) {
    const Outcome outcome = RunTrainer({"evaluate", "--corpus", "-", "--json",
                                        "--store", store_, "--model", model},
                                       text);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
    return nlohmann::json::parse(outcome.output);
  }
};

TEST_F(MixtureTest, PublishedMixtureHasTheReportedPerplexity) {
  const std::string text = DemoText(100, 3);
  const nlohmann::json json = Mix({"--members", "en,two@1"}, text);
  EXPECT_EQ(json["model"], "en@2");
  EXPECT_GT(json["iterations"], 1);
  ASSERT_EQ(json["members"].size(), 2);
  double weights = 0;
  for (const nlohmann::json& member : json["members"]) {
    weights += member["weight"].get<double>();
    EXPECT_GT(member["weight"], 0);
    // The mixture is better than each member.
    EXPECT_LT(json["perplexity"], member["perplexity"]);
    EXPECT_NEAR(member["perplexity"],
                EvaluateModel(member["name"], text)["perplexity"], 1e-6);
  }
  EXPECT_NEAR(weights, 1, 1e-9);
  const nlohmann::json published = EvaluateModel("en@2", text);
  for (const char* key :
       {"tokens", "oov", "perplexity", "perplexity_excluding_oov"}) {
    EXPECT_NEAR(json[key], published[key], 1e-6) << key;
  }
}

TEST_F(MixtureTest, WeightsThatAreGiven) {
  const std::string text = DemoText(20, 3);
  const nlohmann::json json = Mix(
      {"--member", "en", "--member", "two", "--weights", "0.25,0.75"}, text);
  EXPECT_EQ(json["iterations"], 0);
  EXPECT_EQ(json["members"][0]["weight"], 0.25);
  EXPECT_EQ(json["members"][1]["weight"], 0.75);
  EXPECT_NEAR(json["perplexity"], Evaluate(text)["perplexity"], 1e-6);
  // A member with all the weight.
  const nlohmann::json one =
      Mix({"--members", "en@1,two", "--weights", "0,1"}, text);
  EXPECT_EQ(one["perplexity"], one["members"][1]["perplexity"]);
}

TEST_F(MixtureTest, PrintsATable) {
  EXPECT_EQ(Trainer({"mixture", "--corpus", "-", "--members", "en,two"},
                    DemoText(20, 3)),
            "en@2\n");
  EXPECT_THAT(errors_, ContainsRegex("[0-9]+ iterations over [0-9]+ tokens"));
  for (const char* row : {"en@1", "two@1", "mixture"}) {
    EXPECT_THAT(errors_, ContainsRegex(absl::StrCat(
                             row, " +[01].[0-9]+ +[0-9.]+ +[0-9.]+\n")));
  }
  EXPECT_THAT(
      Trainer({"inspect"}),
      testing::AllOf(HasSubstr("family      mixture\n"),
                     HasSubstr("members     en@1 two@1\n"),
                     ContainsRegex("weights     0.[0-9]+ 0.[0-9]+\n"),
                     ContainsRegex("perplexity  [0-9.]+\n"),
                     HasSubstr("0.ngram.bin"), HasSubstr("mixture.json")));
}

// mixture reads a text in the same way as evaluate.
TEST_F(MixtureTest, StreamsLikeEvaluate) {
  const std::string text = DemoText(20, 3) + "\n" + DemoText(5, 4);
  const nlohmann::json json = Mix({"--members", "en@1,two", "--stream"}, text);
  const nlohmann::json evaluated = nlohmann::json::parse(
      Trainer({"evaluate", "--corpus", "-", "--stream", "--json"}, text));
  EXPECT_EQ(json["tokens"], evaluated["tokens"]);
  EXPECT_NEAR(json["perplexity"], evaluated["perplexity"], 1e-6);
}

// A mixture is self-contained: its members may be deleted.
TEST_F(MixtureTest, OfAMixtureWithoutItsMembers) {
  const std::string text = DemoText(20, 3);
  Mix({"--members", "en@1,two"}, text);
  const nlohmann::json json = Mix({"--members", "en@2,two"}, text);
  EXPECT_EQ(json["model"], "en@3");
  std::filesystem::remove_all(store_ + "/two");
  std::filesystem::remove_all(store_ + "/en/1");
  std::filesystem::remove_all(store_ + "/en/2");
  EXPECT_NEAR(EvaluateModel("en@3", text)["perplexity"], json["perplexity"],
              1e-6);
}

TEST_F(MixtureTest, MembersOfOtherWordsAreNamed) {
  RunTrainer({"import-arpa", "-", "--store", store_, "--model", "tiny"},
             TinyArpa());
  const Outcome outcome =
      RunTrainer({"mixture", "--corpus", "-", "--members", "en,tiny", "--store",
                  store_, "--model", "mixed"},
                 "a\n");
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.output, "");
  EXPECT_EQ(
      outcome.errors,
      "lm_trainer: member tiny@1: expected the vocabulary of en@1: word 4: "
      "expected '.', found 'a'\n");
}

// Two lists with two candidates each, of which the second one is right.
class NbestCommandsTest : public testing::Test {
 protected:
  Outcome Run(const std::string& command, Arguments options) {
    return RunOn(
        "0 ||| a b c d x ||| lm= -1 tm= -1 -2 ||| -2\n"
        "0 ||| a b c d e ||| lm= -1 tm= -2 -1 ||| -3\n"
        "1 ||| f g h y z ||| lm= -1 tm= -1 -2 ||| -2\n"
        "1 ||| f g h i j ||| lm= -1 tm= -2 -1 ||| -3\n",
        command, std::move(options));
  }

  Outcome RunOn(const std::string& lists, const std::string& command,
                Arguments options) {
    Arguments arguments = {command,     "--nbest",     "-",   "--reference",
                           references_, "--tokenizer", "none"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    return RunTrainer(arguments, lists);
  }

  const TemporaryDirectory directory_;
  const std::string references_ = directory_.File("references");
  const bool written_ = [this] {
    std::ofstream(references_) << "a b c d e\nf g h i j\n";
    return true;
  }();
};

TEST_F(NbestCommandsTest, EvaluatesChoices) {
  const Outcome outcome = Run(
      "evaluate-nbest", {"--metric", "wer", "--weights", "tm[1]=1", "--json"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_EQ(outcome.errors, "2 lists, 4 candidates\n");
  std::map<std::string, nlohmann::json> rows;
  for (absl::string_view line :
       absl::StrSplit(outcome.output, '\n', absl::SkipEmpty())) {
    const nlohmann::json row = nlohmann::json::parse(line);
    rows[row["system"]] = row;
  }
  EXPECT_EQ(rows.size(), 4u);
  EXPECT_NEAR(rows["first"]["score"], 30, 1e-9);
  EXPECT_NEAR(rows["reranked"]["score"], 0, 1e-9);
  EXPECT_NEAR(rows["oracle"]["score"], 0, 1e-9);
  EXPECT_EQ(rows["first"]["metric"], "WER");
  EXPECT_EQ(rows["first"]["signature"], "nrefs:1|case:mixed|tok:none");
}

TEST_F(NbestCommandsTest, PrintsATable) {
  const Outcome outcome = Run("evaluate-nbest", {});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  for (const char* text :
       {"BLEU", "chrF2", "WER", "first", "random", "oracle", "smooth:exp"}) {
    EXPECT_THAT(outcome.output, HasSubstr(text));
  }
  EXPECT_THAT(outcome.output, Not(HasSubstr("reranked")));
}

// evaluate-nbest accepts the output of tune.
TEST_F(NbestCommandsTest, TunesWeights) {
  const Outcome tuned = Run("tune", {"--metric", "wer"});
  EXPECT_EQ(tuned.exit_code, 0) << tuned.errors;
  EXPECT_THAT(tuned.errors,
              HasSubstr("WER: first 30.00, tuned 0.00, oracle 0.00"));
  EXPECT_THAT(tuned.errors,
              HasSubstr("the lists do not determine the weights of lm tm[1]:"));
  const Outcome outcome =
      Run("evaluate-nbest", {"--metric", "wer", "--weights", tuned.output});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_THAT(outcome.output, ContainsRegex("reranked +0.00"));
}

// The standard output of tune has the weights alone, so that a shell can keep
// them in a variable, with and without a reranker to publish.
TEST_F(NbestCommandsTest, TunePrintsTheWeightsAlone) {
  const std::string store = directory_.File("store");
  PublishTinyModel(store, "en");
  const Outcome alone = Run("tune", {"--metric", "wer"});
  const Outcome published =
      Run("tune", {"--metric", "wer", "--member", "tm[0]=en", "--store", store,
                   "--model", "choice"});
  EXPECT_EQ(published.exit_code, 0) << published.errors;
  EXPECT_THAT(published.output, ContainsRegex("^tm\\[0\\]=-?[0-9.e-]+\n$"));
  EXPECT_EQ(published.output, alone.output);
  EXPECT_THAT(published.errors, testing::EndsWith("\npublished choice@1\n"));
}

TEST_F(NbestCommandsTest, TunesByMira) {
  const Outcome tuned =
      Run("tune", {"--algorithm", "mira", "--metric", "wer", "--epochs", "5"});
  EXPECT_EQ(tuned.exit_code, 0) << tuned.errors;
  EXPECT_THAT(tuned.errors,
              HasSubstr("WER: first 30.00, tuned 0.00, oracle 0.00"));
}

// weights=$(lm_trainer tune ...) must not give a script empty weights.
TEST_F(NbestCommandsTest, TuneFailsWithoutWeights) {
  // Each weight of f but 0 makes one of the two choices worse.
  const std::string lists =
      "0 ||| a b c d e ||| f= 1\n0 ||| a b c d x ||| f= 2\n"
      "1 ||| f g h i j ||| f= 2\n1 ||| f g h i x ||| f= 1\n";
  const Outcome none = RunOn(lists, "tune", {"--metric", "wer"});
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_EQ(none.output, "");
  EXPECT_THAT(none.errors, HasSubstr("expected weights that choose better than "
                                     "the order of the lists, found none"));
  const Outcome started =
      RunOn(lists, "tune", {"--metric", "wer", "--weights", "f=1"});
  EXPECT_EQ(started.exit_code, 0) << started.errors;
  EXPECT_EQ(started.output, "f=1\n");
  EXPECT_THAT(started.errors,
              HasSubstr("WER: first 0.00, tuned 10.00, oracle 0.00\n"
                        "warning: the choice tuned is worse than the order of "
                        "the lists"));
}

// A reranker that chooses by minimum Bayes risk does not choose by the weights
// alone.
TEST_F(NbestCommandsTest, TuneScoresTheChoiceOfTheReranker) {
  const std::string store = directory_.File("store");
  PublishTinyModel(store, "en");
  // The weights choose the reference, which no other candidate resembles.
  const std::string lists =
      "0 ||| a b c d e ||| en= -1\n0 ||| x y z u v ||| en= -2\n"
      "0 ||| x y z u w ||| en= -3\n"
      "1 ||| x y z u v ||| en= -2\n1 ||| x y z u w ||| en= -3\n"
      "1 ||| f g h i j ||| en= -1\n";
  const Outcome outcome =
      RunOn(lists, "tune",
            {"--metric", "wer", "--member", "en", "--store", store, "--model",
             "mbr", "--minimum-bayes-risk", "bleu", "--scale", "0.01"});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_THAT(outcome.errors,
              HasSubstr("WER: first 50.00, tuned 0.00, min risk 100.00, oracle "
                        "0.00\nwarning: the choice min risk is worse"));
}

// What a reranker of these members will compute is what the lists have.
TEST_F(NbestCommandsTest, TuneChecksTheMembers) {
  const std::string store = directory_.File("store");
  PublishTinyModel(store, "en");
  const Outcome evaluated = RunTrainer({"evaluate", "--json", "--corpus", "-",
                                        "--store", store, "--model", "en"},
                                       "a b c d x\n");
  const nlohmann::json evaluation = nlohmann::json::parse(evaluated.output);
  const double sum = evaluation["log_prob"];
  const double mean = sum / evaluation["tokens"].get<double>();
  const auto tune = [&](double log_prob, Arguments options) {
    options.insert(options.end(), {"--metric", "wer", "--member", "en",
                                   "--store", store, "--model", "choice"});
    return RunOn(absl::StrCat("0 ||| a b c d x ||| en= ", log_prob,
                              " tm= -3\n0 ||| a b c d e ||| en= -1 tm= -1\n"),
                 "tune", options);
  };
  EXPECT_THAT(tune(sum, {}).errors,
              AllOf(Not(HasSubstr("warning: member")),
                    HasSubstr("\nthe server will compute the features of en@1, "
                              "with the normalization sum\n")));
  EXPECT_THAT(tune(mean, {}).errors,
              ContainsRegex("warning: member en@1: expected en= -.* for the "
                            "candidate 'a b c d x', as the normalization sum "
                            "gives it, found -"));
  // The published reranker is evaluated on lists with its own features.
  EXPECT_THAT(
      RunOn(absl::StrCat("0 ||| a b c d x ||| en= ", sum, "\n"),
            "evaluate-nbest", {"--reranker", "choice@1", "--store", store})
          .errors,
      Not(HasSubstr("warning")));
  EXPECT_THAT(
      RunOn(absl::StrCat("0 ||| a b c d x ||| en= ", mean, "\n"),
            "evaluate-nbest", {"--reranker", "choice@1", "--store", store})
          .errors,
      HasSubstr("warning: member en@1: expected en= "));
  EXPECT_THAT(tune(mean, {"--normalization", "mean"}).errors,
              Not(HasSubstr("warning: member")));
  EXPECT_THAT(tune(sum, {"--weights", "tm=1,en=1"}).errors,
              HasSubstr("\nclients must send the features tm\n"));
}

// Errors of the options come before the tuning, which may take long.
TEST_F(NbestCommandsTest, TuneLooksForTheMembersFirst) {
  const std::string store = directory_.File("store");
  PublishTinyModel(store, "en");
  const auto errors = [&](const Arguments& options) {
    Arguments all = {"--metric", "wer", "--model", "choice"};
    all.insert(all.end(), options.begin(), options.end());
    const Outcome outcome = Run("tune", all);
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_THAT(outcome.errors, Not(HasSubstr("WER")));
    return outcome.errors;
  };
  EXPECT_THAT(errors({"--store", store}),
              HasSubstr("--model: expected a --member or --reverse-member"));
  EXPECT_THAT(errors({"--store", store, "--member", "nobody"}),
              HasSubstr("model 'nobody' is not in the store"));
  EXPECT_THAT(errors({"--store", store, "--member", "en"}),
              HasSubstr("member en@1: expected one of the features lm tm[0] "
                        "tm[1], found 'en'"));
  EXPECT_THAT(errors({"--store", store, "--reverse-member", "lm=en"}),
              HasSubstr("reverse member en@1: expected a translation model"));
  EXPECT_THAT(errors({"--store", references_, "--member", "en"}),
              HasSubstr("references: expected a directory, found a file"));
}

// A published reranker is evaluated like the weights and the minimum Bayes risk
// that it was made with.
TEST_F(NbestCommandsTest, EvaluatesAReranker) {
  const std::string store = directory_.File("store");
  PublishTinyModel(store, "en");
  const Arguments publish = {
      "--metric", "wer",     "--member", "tm[0]=en",  "--store",
      store,      "--model", "choice",   "--weights", "lm=1 tm[0]=0.5"};
  const Arguments risk = {"--minimum-bayes-risk", "chrf", "--scale", "3"};
  Arguments publish_risk = publish;
  publish_risk.insert(publish_risk.end(), risk.begin(), risk.end());
  const Outcome tuned = Run("tune", publish);
  EXPECT_EQ(Run("tune", publish_risk).exit_code, 0);
  const auto evaluate = [&](const Arguments& options) {
    const Outcome outcome = Run("evaluate-nbest", options);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
    return outcome.output;
  };
  EXPECT_EQ(evaluate({"--reranker", "choice@1", "--store", store}),
            evaluate({"--weights", tuned.output}));
  const std::string min_risk =
      evaluate({"--reranker", "choice", "--store", store});
  EXPECT_THAT(min_risk, HasSubstr("min risk"));
  EXPECT_EQ(min_risk,
            evaluate({"--weights", tuned.output, "--minimum-bayes-risk", "chrf",
                      "--scale", "3"}));
  EXPECT_THAT(
      Run("evaluate-nbest", {"--reranker", "en", "--store", store}).errors,
      HasSubstr("--reranker: expected a reranker, found the model 'en'"));
  EXPECT_EQ(Run("evaluate-nbest",
                {"--reranker", "choice", "--store", store, "--weights", "lm=1"})
                .exit_code,
            2);
  EXPECT_EQ(Run("evaluate-nbest", {"--reranker", "choice"}).exit_code, 2);
  EXPECT_THAT(RunOn("0 ||| a ||| f= 1\n", "evaluate-nbest",
                    {"--reranker", "choice", "--store", store})
                  .errors,
              HasSubstr("found 'lm'; append them with lm_client rerank "
                        "--reranker choice --nbest"));
}

TEST_F(NbestCommandsTest, ErrorsSayWhatIsWrong) {
  const std::string evaluate = "evaluate-nbest";
  EXPECT_THAT(
      Run(evaluate, {"--weights", "lstm=1"}).errors,
      HasSubstr("--weights: expected one of the features of the lists, lm "
                "tm[0] tm[1], found 'lstm'"));
  EXPECT_THAT(Run(evaluate, {"--weights", "lm"}).errors,
              HasSubstr("expected NAME=NUMBER, found 'lm'"));
  EXPECT_THAT(
      Run(evaluate, {"--weights", "lm=1,lm=2"}).errors,
      HasSubstr("--weights: expected each name once, found 'lm' twice"));
  EXPECT_THAT(Run(evaluate, {"--first-id", "1"}).errors,
              HasSubstr(" line 1: id: expected the number of a line of "
                        "--reference, from 1 to 2, found '0'"));
  EXPECT_EQ(Run("tune", {"--metric", "ter"}).exit_code, 2);
  EXPECT_THAT(Run("tune", {"--c", "1"}).errors,
              HasSubstr("--c: applies to --algorithm mira, found mert"));
  EXPECT_THAT(Run("tune", {"--algorithm", "mira", "--restarts", "1"}).errors,
              HasSubstr("--restarts: applies to --algorithm mert, found mira"));
}

class EvaluateTranslationsTest : public testing::Test {
 protected:
  std::string File(const std::string& name, const std::string& text) {
    WriteText(directory_.File(name), text);
    return directory_.File(name);
  }

  // Returns the rows of --json by metric and file name.
  static std::map<std::string, nlohmann::json> Rows(const Outcome& outcome) {
    EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
    std::map<std::string, nlohmann::json> rows;
    for (absl::string_view line :
         absl::StrSplit(outcome.output, '\n', absl::SkipEmpty())) {
      const nlohmann::json row = nlohmann::json::parse(line);
      const std::vector<std::string> path =
          absl::StrSplit(row["system"].get<std::string>(), '/');
      rows[absl::StrCat(row["metric"].get<std::string>(), " ", path.back())] =
          row;
    }
    return rows;
  }

  const TemporaryDirectory directory_;
};

// The scores of texts whose errors can be counted by hand.
TEST_F(EvaluateTranslationsTest, ScoresAreThoseOfTheMetrics) {
  const std::string reference = File("ref", "a b c d e\nf g h i j\n");
  auto rows = Rows(RunTrainer(
      {"evaluate-translations", "--reference", reference, "--hypotheses",
       File("one", "a b c d e\nf g h i x\n"), "--json"}));
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_NEAR(rows["WER one"]["score"], 100 / 10.0, 1e-9);
  // n-grams of the 10 words: 9 of 10, 7 of 8, 5 of 6 and 3 of 4 are right.
  const double product = 9 / 10.0 * 7 / 8.0 * 5 / 6.0 * 3 / 4.0;
  EXPECT_NEAR(rows["BLEU one"]["score"], 100 * std::pow(product, 0.25), 1e-9);
  // Each sentence has 5, 4, 3, 2 and 1 n-grams of 1 to 5 characters. Precision
  // and recall are equal, because the texts are equally long.
  const double mean = (9 / 10.0 + 7 / 8.0 + 5 / 6.0 + 3 / 4.0 + 1 / 2.0) / 5;
  EXPECT_NEAR(rows["chrF2 one"]["score"], 100 * mean, 1e-9);
  EXPECT_EQ(rows["BLEU one"]["signature"],
            "nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp");
  // A second reference that has what is wrong by the first.
  rows = Rows(RunTrainer({"evaluate-translations", "--reference", reference,
                          "--reference", File("ref2", "a\nf g h i x\n"),
                          "--hypotheses", directory_.File("one"), "--json"}));
  EXPECT_NEAR(rows["WER one"]["score"], 0, 1e-9);
  EXPECT_NEAR(rows["BLEU one"]["score"], 100, 1e-9);
  EXPECT_EQ(rows["WER one"]["signature"], "nrefs:2|case:mixed|tok:13a");
}

// A system with an error in each of 100 sentences is significantly worse than
// one with errors in 50 of them. One that has the same errors in other
// sentences is not.
TEST_F(EvaluateTranslationsTest, Significance) {
  std::string reference, first, other, worse;
  for (int i = 0; i < 100; ++i) {
    reference += "a b c d e\n";
    first += i % 2 == 0 ? "a b c d e\n" : "a b c d x\n";
    other += i % 2 == 1 ? "a b c d e\n" : "a b c d x\n";
    worse += "a b c d x\n";
  }
  const Arguments arguments = {
      "evaluate-translations", "--reference",        File("ref", reference),
      "--hypotheses",          File("first", first), "--hypotheses",
      File("other", other),    "--hypotheses",       File("worse", worse)};
  Arguments json = arguments;
  json.push_back("--json");
  const Outcome outcome = RunTrainer(json);
  EXPECT_EQ(RunTrainer(json).output, outcome.output);
  EXPECT_EQ(outcome.errors, "100 sentences\n");
  auto rows = Rows(outcome);
  ASSERT_EQ(rows.size(), 9u);
  for (const std::string metric : {"BLEU", "chrF2", "WER"}) {
    EXPECT_EQ(rows[metric + " first"]["p_value"], 1);
    EXPECT_EQ(rows[metric + " other"]["score"],
              rows[metric + " first"]["score"]);
    EXPECT_GT(rows[metric + " other"]["p_value"], 0.3);
    EXPECT_NEAR(rows[metric + " worse"]["p_value"], 1 / 1001.0, 1e-9);
    EXPECT_NEAR(rows[metric + " worse"]["interval"], 0, 1e-9);
  }
  // The number of errors is binomial: 95 % are within 1.96 times the standard
  // deviation, which is 1 % of the words: sqrt(100 / 4) / 500.
  EXPECT_NEAR(rows["WER first"]["score"], 10, 1e-9);
  EXPECT_NEAR(rows["WER first"]["interval"], 1.96, 0.2);
  const Outcome table = RunTrainer(arguments);
  EXPECT_THAT(table.output,
              ContainsRegex("WER +score +mean +\\+/- +p  \\(nrefs:1"));
  EXPECT_THAT(table.output,
              ContainsRegex("/worse +20.00 +20.00 +0.00 +0.0010\n"));
}

TEST_F(EvaluateTranslationsTest, ErrorsNameFileAndLine) {
  const std::string reference = File("ref", "a\nb\n");
  const auto problem = [&](const std::string& hypotheses) {
    const Outcome outcome = RunTrainer({"evaluate-translations", "--reference",
                                        reference, "--hypotheses", hypotheses});
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_EQ(outcome.output, "");
    return outcome.errors;
  };
  EXPECT_EQ(
      problem(File("short", "a\n")),
      absl::StrCat("lm_trainer: ", directory_.File("short"),
                   ": expected 2 lines, as in ", reference, ", found 1\n"));
  EXPECT_EQ(problem(File("bad", "a\n\xff\n")),
            absl::StrCat("lm_trainer: ", directory_.File("bad"),
                         " line 2: invalid UTF-8\n"));
  WriteText(reference, "");
  EXPECT_EQ(problem(File("empty", "")),
            absl::StrCat("lm_trainer: ", reference,
                         ": expected a reference, found none\n"));
}

TEST(DemoCorpusTest, TheSameSeedGivesTheSameText) {
  const auto corpus = [](const std::string& seed) {
    return RunTrainer({"demo-corpus", "--sentences", "20", "--seed", seed})
        .output;
  };
  const std::string text = corpus("3");
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 20);
  EXPECT_EQ(corpus("3"), text);
  EXPECT_NE(corpus("4"), text);
}

}  // namespace
}  // namespace lmserve
