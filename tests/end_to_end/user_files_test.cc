// SPDX-License-Identifier: Apache-2.0
//
// Tests the programs with files as users have them: byte order marks, foreign
// encodings, compressed files, dirty lines, lists in other orders.

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/end_to_end/programs.h"
#include "tests/testing/shared_data.h"
#include "tests/testing/temporary_directory.h"
#include "tests/text_io/compress.h"
#include "text_io/byte_source.h"
#include "text_io/text_format.h"

namespace lmserve {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

// P(<unk>) and P(SIL) are 0.
constexpr char kPhones[] =
    "\\data\\\nngram 1=6\n\n\\1-grams:\n-0.95\t</s>\n-99\tSIL\n"
    "-99\t<unk>\n-99\t<s>\n-0.31\tAYE\n-0.40\tNAY\n\n\\end\\\n";

std::vector<std::string> Split(absl::string_view output) {
  return absl::StrSplit(output, '\n', absl::SkipEmpty());
}

class UserFilesTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory_ = std::make_unique<TemporaryDirectory>();
    ASSERT_EQ(Train({"ngram", "--order", "2", "--corpus", "-"}, "en",
                    "turn the lamp on\nopen the door\nturn the lamp off\n")
                  .errors.find("INVALID"),
              std::string::npos);
    ASSERT_EQ(Train({"import-arpa", "-"}, "lm", kPhones).exit_code, 0);
    server_ = std::make_unique<ServerProcess>(Store());
    ASSERT_NE(server_->address(), "") << server_->process().Errors();
  }

  // If a program failed to start, each test fails for that reason.
  void SetUp() override {
    ASSERT_TRUE(server_ != nullptr && !server_->address().empty())
        << "SetUpTestSuite() has failed";
  }

  static void TearDownTestSuite() {
    server_.reset();
    directory_.reset();
  }

  static std::string Store() { return directory_->File("store"); }
  static std::string File(const std::string& name, absl::string_view bytes) {
    std::string path = directory_->File(name);
    WriteText(path, bytes);
    return path;
  }
  // Runs a command of lm_trainer that publishes a model.
  static Outcome Train(Arguments arguments, const std::string& model,
                       absl::string_view input = "") {
    arguments.insert(arguments.end(), {"--store", Store(), "--model", model});
    return RunTrainer(arguments, input);
  }
  static std::string Arpa(const std::string& model) {
    return RunTrainer(
               {"export-arpa", "-", "--store", Store(), "--model", model})
        .output;
  }
  static Outcome Client(const Arguments& arguments,
                        absl::string_view input = "") {
    return server_->Client(arguments, input);
  }

  static std::unique_ptr<TemporaryDirectory> directory_;
  static std::unique_ptr<ServerProcess> server_;
};

std::unique_ptr<TemporaryDirectory> UserFilesTest::directory_;
std::unique_ptr<ServerProcess> UserFilesTest::server_;

// A text gives the same model in whatever form it comes.
TEST_F(UserFilesTest, FormsOfOneText) {
  const std::string text = "turn the lamp on\nturn the <unk> off\n";
  ASSERT_EQ(
      Train({"ngram", "--order", "2", "--corpus", File("plain", text)}, "plain")
          .exit_code,
      0);
  const std::string arpa = Arpa("plain");
  const std::string marked =
      "\xEF\xBB\xBF<s> turn the lamp on </s>\r\n<s> turn the <UNK> off "
      "</s>\r\n";
  for (const std::string& bytes : {"\xEF\xBB\xBF" + text, marked, Gzip(marked),
                                   Xz(marked), Bzip2(marked), Zstd(marked)}) {
    const Outcome outcome = Train(
        {"ngram", "--order", "2", "--corpus", File("form", bytes)}, "form");
    EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
    EXPECT_EQ(Arpa("form"), arpa);
  }
  const Outcome utf16 = Train(
      {"ngram", "--corpus", File("utf16", std::string("\xFF\xFEt\0u\0", 6))},
      "form");
  EXPECT_EQ(utf16.exit_code, 1);
  EXPECT_THAT(utf16.errors, HasSubstr("found UTF-16LE"));
}

TEST_F(UserFilesTest, ExportsAreCompressedAndComeBack) {
  for (const char* name :
       {"en.arpa", "en.arpa.gz", "en.arpa.xz", "en.arpa.bz2", "en.arpa.zst"}) {
    const std::string path = directory_->File(name);
    ASSERT_EQ(
        RunTrainer({"export-arpa", path, "--store", Store(), "--model", "en@1"})
            .exit_code,
        0);
    EXPECT_EQ(ReadAllBytes(path).value(), Arpa("en@1"));
    EXPECT_EQ(CompressionOf(ReadFile(path)), CompressionOfName(name));
    const Outcome imported = Train({"import-arpa", path}, "again");
    EXPECT_EQ(imported.exit_code, 0) << imported.errors;
    EXPECT_EQ(imported.errors, "");
    EXPECT_EQ(Arpa("again"), Arpa("en@1"));
  }
}

// The version's name is not inside the ARPA file.
TEST_F(UserFilesTest, StandardOutputHoldsTheArpaFileAlone) {
  const Outcome outcome =
      Train({"ngram", "--order", "2", "--corpus", "-", "--arpa", "-"}, "piped",
            "a b\nb a\n");
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_THAT(outcome.output, StartsWith("\\data\\\n"));
  EXPECT_THAT(outcome.output, testing::EndsWith("\\end\\\n"));
  EXPECT_THAT(outcome.errors, HasSubstr("\npublished piped@1\n"));
}

// One object a line of input; the one of a line that cannot be scored says why.
TEST_F(UserFilesTest, ScoreOfDirtyLines) {
  const std::string input =
      "turn the lamp on\ncaf\xE9 door\n\nopen the </s> door\n"
      "<s> open the door </s>\nopen the door\n";
  const Outcome outcome = Client({"score", "--json", "--model", "en"}, input);
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  const std::vector<std::string> lines = Split(outcome.output);
  ASSERT_EQ(lines.size(), 6u) << outcome.output;
  std::vector<json> scores;
  scores.reserve(lines.size());
  for (const std::string& line : lines) scores.push_back(json::parse(line));
  EXPECT_LT(scores[0]["log_prob"], 0);
  EXPECT_EQ(scores[1]["line"], 2);
  EXPECT_EQ(scores[1]["error"], "invalid UTF-8");
  EXPECT_EQ(scores[2]["words"], 1);
  EXPECT_LT(scores[2]["log_prob"], 0);
  EXPECT_EQ(scores[3]["line"], 4);
  EXPECT_THAT(scores[3]["error"].get<std::string>(),
              HasSubstr("expected no sentence marker, found </s>"));
  EXPECT_EQ(scores[4]["log_prob"], scores[5]["log_prob"]);
  EXPECT_THAT(outcome.errors,
              HasSubstr("texts without a score: 2, the first: line 2"));
  const Outcome text = Client({"score", "--model", "en"}, input);
  EXPECT_THAT(Split(text.output)[2], HasSubstr("line 2: invalid UTF-8"));
  EXPECT_EQ(Split(text.output).size(), 8u);  // with the header and the sum
  const Outcome strict = Client({"score", "--strict", "--model", "en"}, input);
  EXPECT_EQ(strict.exit_code, 1);
  EXPECT_THAT(strict.errors, HasSubstr("line 2: invalid UTF-8"));
  const Outcome marker =
      Client({"score", "--strict", "--model", "en"}, "a\nopen <s>\n");
  EXPECT_THAT(marker.errors, HasSubstr("line 2: word 1: expected no sentence"));
}

// Errors in many messages, and at the end.
TEST_F(UserFilesTest, ScoreOfManyDirtyLines) {
  std::string input;
  for (int i = 0; i < 1500; ++i) {
    absl::StrAppend(&input,
                    i % 500 == 499 ? "the </s> lamp"
                    : i % 7 == 3   ? "caf\xE9"
                                   : "the lamp",
                    "\n");
  }
  const std::vector<std::string> lines =
      Split(Client({"score", "--json", "--model", "en"}, input).output);
  ASSERT_EQ(lines.size(), 1500u);
  for (int i = 0; i < 1500; ++i) {
    const json score = json::parse(lines[i]);
    const bool bad = i % 500 == 499 || i % 7 == 3;
    EXPECT_EQ(score.contains("error"), bad) << i;
    if (bad) {
      EXPECT_EQ(score["line"], i + 1);
    }
  }
  const Outcome only = Client({"score", "--json", "--model", "en"}, "\xE9\n");
  EXPECT_EQ(json::parse(only.output)["line"], 1);
}

TEST_F(UserFilesTest, CompressedInputOfTheClient) {
  const std::string plain = Client({"score", "--json"}, "").output;
  for (const std::string& bytes :
       {Bzip2("turn the lamp on\n"), Zstd("\xEF\xBB\xBFturn the lamp on\n")}) {
    const Outcome outcome = Client({"score", "--json", "--model", "en"}, bytes);
    EXPECT_EQ(json::parse(outcome.output)["text"], "turn the lamp on")
        << outcome.errors;
  }
  const Outcome zip = Client({"score", "--model", "en"}, "PK\x03\x04\n");
  EXPECT_EQ(zip.exit_code, 1);
  EXPECT_THAT(zip.errors,
              HasSubstr("standard input: expected text, found a zip"));
}

TEST_F(UserFilesTest, PredictGivesAtMostKWords) {
  const Outcome outcome =
      Client({"predict", "--json", "-k", "100000", "--model", "lm", "AYE", ""});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  for (const std::string& line : Split(outcome.output)) {
    EXPECT_EQ(json::parse(line)["next"].size(), 3u);  // </s> AYE NAY
  }
}

// A word that is impossible for all candidates does not hide their other
// feature; the list with features gives the same best text.
TEST_F(UserFilesTest, RerankWithAnImpossibleWord) {
  const std::string nbest = File("impossible.nbest",
                                 "0 ||| AYE ERM NAY ||| am= -9 ||| -9\n"
                                 "0 ||| AYE ERM AYE ||| am= -1 ||| -1\n");
  const Outcome best = Client({"rerank", "--model", "lm", "--weights",
                               "am=1,lm=0.5", "--nbest", nbest, "--one-best"});
  EXPECT_EQ(best.output, "AYE ERM AYE\n") << best.errors;
  const Outcome list = Client({"rerank", "--model", "lm", "--nbest", nbest});
  std::vector<double> scores;
  for (const std::string& line : Split(list.output)) {
    double am = 0, lm = 0;
    const std::vector<std::string> fields = absl::StrSplit(line, "|||");
    ASSERT_EQ(std::sscanf(fields.at(2).c_str(), " am= %lf lm= %lf", &am, &lm),
              2);
    EXPECT_LT(lm, -1e6);
    scores.push_back(am + 0.5 * lm);
  }
  ASSERT_EQ(scores.size(), 2u);
  EXPECT_GT(scores[1], scores[0]);
  const json first = json::parse(Split(
      Client({"rerank", "--json", "--model", "lm", "--weights", "am=1,lm=0.5",
              "AYE ERM NAY ||| am=-9", "AYE ERM AYE ||| am=-1"})
          .output)[0]);
  EXPECT_EQ(first["index"], 1);
  EXPECT_NEAR(first["score"], scores[1], 1e-2);
}

TEST_F(UserFilesTest, AnIdThatComesBackIsAnError) {
  const Outcome outcome = Client(
      {"rerank", "--model", "en", "--nbest", "-", "--one-best"},
      "0 ||| the lamp ||| tm= -1 ||| -1\n2 ||| a dog ||| tm= -1 ||| -1\n"
      "1 ||| the door ||| tm= -2 ||| -2\n0 ||| a lamp ||| tm= -2 ||| -2\n");
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(Split(outcome.output),
              ElementsAre("the lamp", "a dog", "the door"));
  EXPECT_THAT(
      outcome.errors,
      HasSubstr("line 4: id: expected '1' or a new id, found '0', whose "
                "list ended in line 1"));
}

// Scoring a list for the second time replaces the features.
TEST_F(UserFilesTest, ListsScoredTwice) {
  const Arguments rerank = {"rerank", "--model", "en", "--nbest", "-"};
  const std::string list =
      "0 ||| the lamp ||| tm= -1 -2 ||| -1\n0 ||| a dog ||| tm= -1 -3\n";
  const std::string once = Client(rerank, list).output;
  EXPECT_THAT(once, HasSubstr(" en= "));
  EXPECT_EQ(Client(rerank, once).output, once);
  Arguments best = rerank;
  best.push_back("--one-best");
  EXPECT_EQ(Client(best, once).output, Client(best, list).output);
  EXPECT_EQ(Client(best, once).exit_code, 0);
}

// A list in which a feature comes twice has two values for it.
TEST_F(UserFilesTest, ListsWithDoubledFeatures) {
  const std::string doubled =
      "0 ||| the lamp ||| tm= -1 en= -9 en.words= 2\n"
      "0 ||| a dog ||| tm= -1 en= -9 en.words= 2 en= -9 en.words= 2\n";
  const std::string problem = "feature en: expected once";
  const Outcome reranked =
      Client({"rerank", "--model", "en", "--nbest", "-"}, doubled);
  EXPECT_EQ(reranked.exit_code, 1);
  EXPECT_EQ(reranked.output, "");
  EXPECT_THAT(reranked.errors, HasSubstr("line 2: " + problem));
  const std::string references = File("doubled.references", "the lamp\n");
  for (const char* command : {"tune", "evaluate-nbest"}) {
    const Outcome outcome = RunTrainer(
        {command, "--nbest", "-", "--reference", references}, doubled);
    EXPECT_EQ(outcome.exit_code, 1);
    EXPECT_EQ(outcome.output, "");
    EXPECT_THAT(outcome.errors, HasSubstr("line 2: " + problem));
  }
}

// No other server is asked than the one that is named.
TEST_F(UserFilesTest, AdminCommandsSayWhomTheyAsk) {
  const Outcome silent = Client({"alias", "en@1", "stable"});
  EXPECT_EQ(silent.exit_code, 1);
  EXPECT_THAT(silent.errors, HasSubstr("--admin: expected the admin address"));
  const Outcome named = Client({"--deadline", "0.5", "alias", "--admin",
                                "127.0.0.1:1", "en@1", "stable"});
  EXPECT_EQ(named.exit_code, 1);
  EXPECT_THAT(named.errors, HasSubstr("admin address 127.0.0.1:1: "));
}

// The files of users' reports.
TEST_F(UserFilesTest, SharedCases) {
  if (SharedFile("cases/README.md").empty()) GTEST_SKIP() << "no shared cases";
  const auto file = [](absl::string_view name) {
    return SharedFile(absl::StrCat("cases/", name));
  };
  // Our own export with <UNK> in the text is read again.
  ASSERT_EQ(Train({"ngram", "--order", "3", "--corpus",
                   file("arpa-two-unknowns/input.txt"), "--arpa",
                   directory_->File("two.arpa")},
                  "two")
                .exit_code,
            0);
  EXPECT_EQ(
      Train({"import-arpa", "--strict", directory_->File("two.arpa")}, "two")
          .errors,
      "");
  EXPECT_EQ(Arpa("two@1"), Arpa("two@2"));
  const Outcome both =
      Train({"import-arpa", file("arpa-two-unknowns/input2.arpa")}, "both");
  EXPECT_EQ(both.exit_code, 0);
  EXPECT_THAT(both.errors, HasSubstr("with <UNK> left out"));
  EXPECT_THAT(Arpa("both"), HasSubstr("-2.00000003\t<unk>"));
  const Outcome twice =
      Train({"import-arpa", file("arpa-word-twice/input.arpa")}, "twice");
  EXPECT_EQ(twice.exit_code, 0);
  EXPECT_THAT(twice.errors, HasSubstr("line 10: the 1-gram"));
  const Outcome strict = Train(
      {"import-arpa", "--strict", file("arpa-word-twice/input.arpa")}, "no");
  EXPECT_EQ(strict.exit_code, 1);
  ASSERT_EQ(Train({"ngram", "--order", "2", "--corpus",
                   file("byte-order-mark/input.txt")},
                  "mark")
                .exit_code,
            0);
  EXPECT_THAT(Arpa("mark"), HasSubstr("<s> turn\n"));
  EXPECT_THAT(Arpa("mark"), testing::Not(HasSubstr("\xEF\xBB\xBF")));
  for (const char* name : {"base.arpa.bz2", "base.arpa.zst"}) {
    EXPECT_EQ(
        Train({"import-arpa", file(absl::StrCat("compressed/", name))}, "base")
            .exit_code,
        0)
        << name;
  }
  EXPECT_EQ(Arpa("base@1"), Arpa("base@2"));
  EXPECT_EQ(Train({"import-arpa", file("impossible-unknown/input.arpa"),
                   "--unknown-log10", "-5"},
                  "unknown")
                .errors,
            "");
  EXPECT_THAT(Arpa("unknown"), HasSubstr("-4.99999986\t<unk>"));
  const Outcome nbest = Client({"rerank", "--model", "en", "--nbest",
                                file("nbest-order/nonmono.nb"), "--one-best"});
  EXPECT_EQ(nbest.exit_code, 1);
  EXPECT_THAT(nbest.errors, HasSubstr("line 4: id: "));
}

}  // namespace
}  // namespace lmserve
