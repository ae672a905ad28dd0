// SPDX-License-Identifier: Apache-2.0
//
// Tests that every program reports a wrong command line with exit code 2 and a
// failure with exit code 1, each with one line on standard error.

#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/end_to_end/programs.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using testing::HasSubstr;

struct Case {
  std::string name;
  std::string program;
  Arguments arguments;
  std::string message;  // a part of the message
};

std::string CaseName(const testing::TestParamInfo<Case>& info) {
  return info.param.name;
}

std::vector<std::string> Lines(const std::string& text) {
  return absl::StrSplit(text, '\n', absl::SkipEmpty());
}

class WrongUseTest : public testing::TestWithParam<Case> {};

TEST_P(WrongUseTest, OneLineAndExitCode2) {
  const Outcome outcome =
      RunProgram(Command(GetParam().program, GetParam().arguments));
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(outcome.output, "");
  const std::vector<std::string> lines = Lines(outcome.errors);
  ASSERT_EQ(lines.size(), 1) << outcome.errors;
  EXPECT_THAT(lines[0], testing::StartsWith(GetParam().program + ": "));
  EXPECT_THAT(lines[0], HasSubstr(GetParam().message));
  EXPECT_THAT(lines[0], HasSubstr("--help"));
}

Arguments Ngram(const Arguments& more) {
  Arguments arguments = {"ngram",   "--corpus", "text", "--store",
                         "a-store", "--model",  "en"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

Arguments Mixture(const Arguments& more) {
  Arguments arguments = {"mixture", "--corpus", "text", "--store",
                         "a-store", "--model",  "en"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

INSTANTIATE_TEST_SUITE_P(
    Mixture, WrongUseTest,
    testing::Values(
        Case{"NoMembers", "lm_trainer", Mixture({}), "--members is required"},
        Case{"OneMember", "lm_trainer", Mixture({"--members", "en"}),
             "--members: expected 2 or more, found 1"},
        Case{"OneWeightTooFew", "lm_trainer",
             Mixture({"--members", "en,de,fr", "--weights", "0.5,0.5"}),
             "--weights: expected one per member, 3, found 2"},
        Case{"WeightsTooSmall", "lm_trainer",
             Mixture({"--members", "en,de", "--weights", "0.5,0.25"}),
             "--weights: expected a sum of 1, found 0.75"},
        Case{"NegativeWeight", "lm_trainer",
             Mixture({"--member", "en", "--member", "de", "--weights=-1,2"}),
             "--weights: expected a number from 0 to 1, found '-1'"},
        Case{"NoWeight", "lm_trainer",
             Mixture({"--members", "en,de", "--weights", "nan,1"}), "nan"},
        Case{"WeightsAndIterations", "lm_trainer",
             Mixture({"--members", "en,de", "--weights", "0.5,0.5",
                      "--iterations", "3"}),
             "--weights excludes --iterations"}),
    CaseName);

INSTANTIATE_TEST_SUITE_P(
    NgramTools, WrongUseTest,
    testing::Values(
        Case{"NeitherTextNorCounts",
             "lm_trainer",
             {"ngram", "--store", "s", "--model", "m"},
             "--corpus: expected a text or --counts"},
        Case{"TextAndCounts", "lm_trainer", Ngram({"--counts", "c"}),
             "--corpus excludes --counts"},
        Case{"NoFileOfCounts",
             "lm_trainer",
             {"export-counts", "--corpus", "text"},
             "file is required"},
        Case{"NoThreshold",
             "lm_trainer",
             {"prune", "en", "--store", "s", "--model", "m"},
             "--entropy: expected a number or --ngrams"},
        Case{"TwoThresholds",
             "lm_trainer",
             {"prune", "en", "--entropy", "0.1", "--ngrams", "9", "--store",
              "s", "--model", "m"},
             "--entropy excludes --ngrams"},
        Case{"NegativeThreshold",
             "lm_trainer",
             {"prune", "en", "--entropy=-1", "--store", "s", "--model", "m"},
             "--entropy: expected a number from 0 to 1, found '-1'"},
        Case{"OneMember",
             "lm_trainer",
             {"interpolate", "--members", "en", "--valid", "text", "--store",
              "s", "--model", "m"},
             "--members: expected 2 or more, found 1"},
        Case{"NoWeights",
             "lm_trainer",
             {"interpolate", "--members", "en,de", "--store", "s", "--model",
              "m"},
             "--valid: expected a text or --weights"}),
    CaseName);

INSTANTIATE_TEST_SUITE_P(
    Trainer, WrongUseTest,
    testing::Values(
        Case{"NoCommand", "lm_trainer", {}, "subcommand"},
        Case{"UnknownCommand", "lm_trainer", {"train"}, "'train'"},
        Case{"UnknownOption", "lm_trainer", Ngram({"--ordre", "3"}), "--ordre"},
        Case{"MissingStore",
             "lm_trainer",
             {"ngram", "--corpus", "text", "--model", "en"},
             "--store is required"},
        Case{"MissingModel",
             "lm_trainer",
             {"evaluate", "--corpus", "text", "--store", "a-store"},
             "--model is required"},
        Case{"MissingValue", "lm_trainer", Ngram({"--order"}), "--order"},
        Case{"NoNumber", "lm_trainer", Ngram({"--order", "five"}), "five"},
        Case{"NumberOutOfRange", "lm_trainer", Ngram({"--order", "0"}),
             "--order"},
        Case{"NegativeNumber",
             "lm_trainer",
             {"demo-corpus", "--sentences", "-1"},
             "--sentences"},
        // The next argument is not the value.
        Case{"EmptyValue",
             "lm_trainer",
             {"evaluate", "--corpus=", "--store", "a-store", "--model", "en"},
             "--corpus: expected a value, found ''"},
        Case{"UnknownRule", "lm_trainer", Ngram({"--markers", "drop"}),
             "--markers: expected one of refuse, skip, replace, found 'drop'"},
        Case{"MisspelledCorpus",
             "lm_trainer",
             {"evaluate", "--text", "f", "--store", "s", "--model", "m"},
             "unknown option '--text'; --corpus is required (see lm_trainer "
             "evaluate --help)"},
        Case{"MisspelledStore",
             "lm_server",
             {"--stor", "s"},
             "lm_server: unknown option '--stor'; --store is required"},
        Case{"NoThreshold", "lm_trainer", Ngram({"--prune", "few"}), "few"},
        Case{"UnknownSmoothing", "lm_trainer", Ngram({"--smoothing", "kneser"}),
             "modified-kneser-ney"},
        Case{"MissingVocabulary", "lm_trainer",
             Ngram({"--vocabulary", "/nowhere/words"}), "/nowhere/words"}),
    CaseName);

INSTANTIATE_TEST_SUITE_P(
    Server, WrongUseTest,
    testing::Values(
        Case{"MissingStore", "lm_server", {}, "--store is required"},
        Case{"UnknownOption",
             "lm_server",
             {"--store", "a-store", "--port", "1"},
             "--port"},
        Case{"NoNumber",
             "lm_server",
             {"--store", "a-store", "--drain-seconds", "long"},
             "long"},
        Case{"NumberOutOfRange",
             "lm_server",
             {"--store", "a-store", "--max-texts", "0"},
             "--max-texts"},
        Case{"AddressWithoutPort",
             "lm_server",
             {"--store", "a-store", "--listen", "localhost"},
             "HOST:PORT"},
        Case{"PortOutOfRange",
             "lm_server",
             {"--store", "a-store", "--listen", "127.0.0.1:99999"},
             "HOST:PORT"}),
    CaseName);

INSTANTIATE_TEST_SUITE_P(
    Client, WrongUseTest,
    testing::Values(
        Case{"NoCommand", "lm_client", {}, "subcommand"},
        Case{"UnknownCommand", "lm_client", {"tell", "me"}, "tell"},
        Case{
            "UnknownOption", "lm_client", {"--verbose", "models"}, "--verbose"},
        Case{"UnknownArgument", "lm_client", {"models", "en"}, "en"},
        Case{"NoNumber", "lm_client", {"predict", "-k", "few", "a"}, "few"},
        Case{
            "NumberOutOfRange", "lm_client", {"predict", "-k", "0", "a"}, "-k"},
        Case{"NegativeSeed", "lm_client", {"generate", "--seed", "-1"}, "-1"},
        Case{"NoTemperature",
             "lm_client",
             {"generate", "--temperature", "hot"},
             "hot"},
        Case{"NoWeight",
             "lm_client",
             {"rerank", "--weights", "en=much", "a"},
             "en=much"},
        Case{"UnknownNormalization",
             "lm_client",
             {"rerank", "--normalization", "median", "a"},
             "median"},
        Case{"NoDeadline",
             "lm_client",
             {"--deadline", "0", "models"},
             "--deadline"},
        Case{"AddressWithoutPort",
             "lm_client",
             {"--server", "host", "models"},
             "HOST:PORT"},
        Case{"AddressWithoutHost",
             "lm_client",
             {"--server", ":1", "models"},
             "HOST:PORT"},
        Case{"AddressWithoutNumber",
             "lm_client",
             {"--server", "host:http", "models"},
             "HOST:PORT"},
        Case{"PortOutOfRange",
             "lm_client",
             {"--server", "127.0.0.1:65536", "models"},
             "HOST:PORT"},
        Case{"EmptyAddress",
             "lm_client",
             {"--server", "", "models"},
             "HOST:PORT"}),
    CaseName);

class FailureTest : public testing::TestWithParam<Case> {};

TEST_P(FailureTest, OneLineAndExitCode1) {
  const TemporaryDirectory directory;
  PublishTinyModel(directory.path(), "en");
  Arguments arguments = GetParam().arguments;
  for (std::string& argument : arguments) {
    if (argument == "STORE") argument = directory.path();
  }
  const Outcome outcome = RunProgram(Command(GetParam().program, arguments));
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.output, "");
  const std::vector<std::string> lines = Lines(outcome.errors);
  ASSERT_EQ(lines.size(), 1) << outcome.errors;
  EXPECT_THAT(lines[0], HasSubstr(GetParam().program));
  EXPECT_THAT(lines[0], HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Trainer, FailureTest,
    testing::Values(
        Case{"UnknownMember",
             "lm_trainer",
             {"mixture", "--members", "en,de", "--corpus", "-", "--store",
              "STORE", "--model", "mixed"},
             "model 'de' is not in the store; found: en"},
        Case{"NoCorpus",
             "lm_trainer",
             {"ngram", "--corpus", "/nowhere/text", "--store", "STORE",
              "--model", "en"},
             "/nowhere/text"},
        Case{"EmptyCorpus",
             "lm_trainer",
             {"ngram", "--corpus", "-", "--store", "STORE", "--model", "en"},
             "standard input"},
        Case{"ImpossibleName",
             "lm_trainer",
             {"ngram", "--corpus", "-", "--store", "STORE", "--model", "../en"},
             "../en"},
        Case{"NoArpa",
             "lm_trainer",
             {"import-arpa", "-", "--store", "STORE", "--model", "en"},
             "standard input"},
        Case{"NoKenlm",
             "lm_trainer",
             {"import-kenlm", "/dev/null", "--store", "STORE", "--model", "en"},
             "/dev/null"},
        Case{"UnknownModel",
             "lm_trainer",
             {"inspect", "--store", "STORE", "--model", "de"},
             "'de'"},
        Case{"UnknownVersion",
             "lm_trainer",
             {"export-arpa", "-", "--store", "STORE", "--model", "en@7"},
             "'7'"},
        Case{"UnknownVersionForAlias",
             "lm_trainer",
             {"alias", "stable", "--store", "STORE", "--model", "en@7"},
             "'7'"},
        Case{"ImpossibleAlias",
             "lm_trainer",
             {"alias", "12", "--store", "STORE", "--model", "en@1"},
             "'12'"},
        Case{"UnwritableArpa",
             "lm_trainer",
             {"export-arpa", "/nowhere/en.arpa", "--store", "STORE", "--model",
              "en"},
             "/nowhere/en.arpa"},
        Case{"EmptyEvaluation",
             "lm_trainer",
             {"evaluate", "--corpus", "-", "--store", "STORE", "--model", "en"},
             "expected at least one sentence, found none"}),
    CaseName);

INSTANTIATE_TEST_SUITE_P(Server, FailureTest,
                         testing::Values(Case{
                             "NoStore",
                             "lm_server",
                             {"--store", "/nowhere", "--listen", "127.0.0.1:0"},
                             "/nowhere: No such file or directory"}),
                         CaseName);

INSTANTIATE_TEST_SUITE_P(Client, FailureTest,
                         testing::Values(Case{"NoServer",
                                              "lm_client",
                                              {"--server",
                                               "unix:/nowhere/socket",
                                               "--attempts", "1", "score", "a"},
                                              "UNAVAILABLE"},
                                         Case{"BadCandidate",
                                              "lm_client",
                                              {"rerank", "a ||| tm=high"},
                                              "tm=high"}),
                         CaseName);

class HelpTest : public testing::TestWithParam<Case> {};

TEST_P(HelpTest, OnTheStandardOutputAndExitCode0) {
  const Outcome outcome =
      RunProgram(Command(GetParam().program, GetParam().arguments));
  EXPECT_EQ(outcome.exit_code, 0);
  EXPECT_EQ(outcome.errors, "");
  EXPECT_THAT(outcome.output, HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Programs, HelpTest,
    testing::Values(
        Case{"Trainer", "lm_trainer", {"--help"}, "import-arpa"},
        Case{
            "TrainerCommand", "lm_trainer", {"ngram", "--help"}, "--smoothing"},
        Case{"TrainerVersion", "lm_trainer", {"--version"}, "lmserve 0.2.0 ("},
        Case{"Server", "lm_server", {"--help"}, "--listen"},
        Case{"ServerVersion", "lm_server", {"--version"}, "lmserve 0.2.0 ("},
        Case{"Client", "lm_client", {"--help"}, "LMSERVE_SERVER"},
        Case{"ClientCommand", "lm_client", {"score", "--help"}, "--per-word"},
        Case{"ClientVersion", "lm_client", {"--version"}, "lmserve 0.2.0 ("}),
    CaseName);

}  // namespace
}  // namespace lmserve
