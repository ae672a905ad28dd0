// SPDX-License-Identifier: Apache-2.0
#include "command_line/cli.h"

#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

enum class Mean { kSum, kMean, kPower };

// A command line with an option of every kind and a command.
class CliTest : public testing::Test {
 protected:
  CliTest() : app_("Does something.", "program") {
    app_.fallthrough();
    app_.set_config("--config", "File of options");
    app_.add_option("--name", name_, "A text");
    app_.add_option("--other", other_, "A text");
    app_.add_option("--count", count_, "A number")
        ->check(cli::Range(1, 32))
        ->capture_default_str();
    app_.add_option("--seed", seed_, "A number");
    app_.add_option("--rate", rate_, "A number")->check(cli::PositiveNumber());
    app_.add_option("--share", share_, "A number")->check(cli::Range(0.0, 1.0));
    app_.add_option("--delta", delta_, "A number");
    app_.add_option("--list", list_, "Texts")->delimiter(',');
    app_.add_option("--color", color_, "A color")
        ->check(cli::IsMember({"red", "green", "red,green"}));
    app_.add_enum<Mean>("--mean", mean_,
                        {{"sum", Mean::kSum},
                         {"mean", Mean::kMean},
                         {"power", Mean::kPower}},
                        "A mean")
        ->default_str("sum");
    app_.add_flag("--quick", quick_, "A flag");
    cli::App& command = *app_.add_subcommand("run", "Runs.");
    command.add_option("--store", store_, "A directory")->required();
    command.add_option("text", texts_, "Texts");
    command.add_option("-k", k_, "A number");
  }

  // Parses the arguments. Returns the message of the error, or "".
  std::string Parse(const std::vector<std::string>& arguments) {
    std::vector<const char*> argv = {"program"};
    for (const std::string& argument : arguments) {
      argv.push_back(argument.c_str());
    }
    try {
      app_.parse(static_cast<int>(argv.size()), argv.data());
    } catch (const cli::ParseError& error) {
      last_error_ = error;
      return error.what();
    }
    return "";
  }

  // Returns what a wrong command line or --help prints.
  std::string Help() {
    Parse({"--help"});
    testing::internal::CaptureStdout();
    EXPECT_EQ(app_.exit(*last_error_), 0);
    return testing::internal::GetCapturedStdout();
  }

  cli::App app_;
  std::string name_ = "default", other_ = "default", color_, store_;
  int count_ = 5, k_ = 1;
  uint64_t seed_ = 7;
  double rate_ = 1, share_ = 0;
  std::optional<double> delta_;
  std::vector<std::string> list_, texts_;
  Mean mean_ = Mean::kSum;
  bool quick_ = false;
  std::optional<cli::ParseError> last_error_;
};

// The next argument is not the value of "--name=".
TEST_F(CliTest, AnEmptyValueIsTheValue) {
  EXPECT_EQ(Parse({"--name=", "--other=x"}), "");
  EXPECT_EQ(name_, "");
  EXPECT_EQ(other_, "x");
}

TEST_F(CliTest, AnEmptyValueBeforeACommand) {
  EXPECT_EQ(Parse({"--other=", "run", "--store", "s", "--name=", "a", "b"}),
            "");
  EXPECT_EQ(other_, "");
  EXPECT_EQ(name_, "");
  EXPECT_EQ(store_, "s");
  EXPECT_THAT(texts_, ElementsAre("a", "b"));
}

TEST_F(CliTest, AnEmptyValueAtTheEnd) {
  EXPECT_EQ(Parse({"--name="}), "");
  EXPECT_EQ(name_, "");
}

TEST_F(CliTest, AnEmptyValueAsAWordOfItsOwn) {
  EXPECT_EQ(Parse({"--name", "", "--other", "x"}), "");
  EXPECT_EQ(name_, "");
  EXPECT_EQ(other_, "x");
}

// What looks like an option may be a value, or stand behind "--".
TEST_F(CliTest, ValuesThatLookLikeOptions) {
  EXPECT_EQ(Parse({"--name", "--other=", "run", "--store", "s", "-k", "2", "--",
                   "--other="}),
            "");
  EXPECT_EQ(name_, "--other=");
  EXPECT_EQ(other_, "default");
  EXPECT_THAT(texts_, ElementsAre("--other="));
}

TEST_F(CliTest, NumbersAreNotEmpty) {
  EXPECT_EQ(Parse({"--count=", "3"}),
            "--count: expected a whole number, found ''");
  EXPECT_EQ(Parse({"--seed=", "3"}),
            "--seed: expected a whole number of at least 0, found ''");
  EXPECT_EQ(Parse({"--delta="}), "--delta: expected a number, found ''");
}

TEST_F(CliTest, RequiredValuesAreNotEmpty) {
  EXPECT_EQ(Parse({"run", "--store=", "en"}),
            "--store: expected a value, found ''");
  EXPECT_EQ(Parse({"run"}), "--store is required");
}

// A required option may be there with a misspelled name.
TEST_F(CliTest, UnknownOptionsAreNamed) {
  EXPECT_EQ(Parse({"run", "--stor", "s"}),
            "unknown option '--stor'; --store is required");
  EXPECT_EQ(Parse({"run", "--store", "s", "-o", "3"}), "unknown option '-o'");
  EXPECT_EQ(Parse({"--count", "1", "walk"}), "unexpected argument 'walk'");
}

TEST_F(CliTest, MessagesSayWhatIsExpected) {
  EXPECT_EQ(Parse({"--count", "x"}),
            "--count: expected a whole number, found 'x'");
  EXPECT_EQ(Parse({"--count", "33"}),
            "--count: expected a number from 1 to 32, found '33'");
  EXPECT_EQ(Parse({"--seed", "-1"}),
            "--seed: expected a whole number of at least 0, found '-1'");
  EXPECT_EQ(Parse({"--rate", "-1"}),
            "--rate: expected a number greater than 0, found '-1'");
  EXPECT_EQ(Parse({"--rate", "inf"}),
            "--rate: expected a number greater than 0, found 'inf'");
  EXPECT_EQ(Parse({"--share", "nan"}),
            "--share: expected a number from 0 to 1, found 'nan'");
  EXPECT_EQ(Parse({"--color", "blue"}),
            "--color: expected one of red, green, 'red,green', found 'blue'");
  EXPECT_EQ(Parse({"--mean", "median"}),
            "--mean: expected one of sum, mean, power, found 'median'");
  EXPECT_EQ(Parse({"--mean", "1"}),
            "--mean: expected one of sum, mean, power, found '1'");
  EXPECT_EQ(Parse({"--name"}), "--name: expected a value, found none");
  EXPECT_EQ(Parse({"--name", "a", "--name", "b"}),
            "--name: expected one value, found 2");
  EXPECT_EQ(Parse({"--quick=maybe"}), "--quick: cannot read the value 'maybe'");
}

TEST_F(CliTest, EnumsInAnyCase) {
  EXPECT_EQ(Parse({"--mean", "Power"}), "");
  EXPECT_EQ(mean_, Mean::kPower);
}

TEST_F(CliTest, TheHelpShowsWhatIsAllowed) {
  const std::string help = Help();
  EXPECT_THAT(help, HasSubstr("--mean {sum,mean,power}=sum "));
  EXPECT_THAT(help, HasSubstr("--color {red,green,'red,green'}\n"));
  EXPECT_THAT(help, HasSubstr("--count INT in [1, 32]=5 "));
  EXPECT_THAT(help, HasSubstr("--rate FLOAT in (0, inf) "));
  EXPECT_THAT(help, HasSubstr("--share FLOAT in [0, 1] "));
  EXPECT_THAT(help, HasSubstr("--config FILE "));
  EXPECT_THAT(help, HasSubstr("--name TEXT "));
  EXPECT_THAT(help, Not(HasSubstr("->")));
}

TEST_F(CliTest, ErrorsOfTheConfigurationFileNameIt) {
  const TemporaryDirectory directory;
  const std::string file = directory.File("config");
  std::ofstream(file) << "name=a b,c\n";
  EXPECT_EQ(Parse({"--config", file}), "");
  EXPECT_EQ(name_, "a b,c");
  std::ofstream(file) << "nmae=a\n";
  EXPECT_EQ(Parse({"--config", file}),
            file + " line 1: expected the name of an option, found 'nmae'");
  EXPECT_EQ(Parse({"--config", directory.File("none")}),
            "--config: cannot read '" + directory.File("none") + "'");
}

}  // namespace
}  // namespace lmserve
