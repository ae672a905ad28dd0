// SPDX-License-Identifier: Apache-2.0
//
// Tests the layouts of n-gram models in the commands of lm_trainer: --layout,
// --quantize and convert.

#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/end_to_end/programs.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class LayoutCommandsTest : public testing::Test {
 protected:
  static Outcome Run(Arguments arguments, const Arguments& more,
                     absl::string_view input = "") {
    arguments.insert(arguments.end(), more.begin(), more.end());
    return RunTrainer(arguments, input);
  }

  // Runs a command with a model of the store; it must succeed.
  std::string Trainer(const std::string& model, const Arguments& arguments,
                      absl::string_view input = "") {
    const Outcome outcome =
        Run(arguments, {"--store", store_, "--model", model}, input);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
    return outcome.output;
  }

  // Runs a command that must fail. Returns the errors.
  std::string Fails(const Arguments& arguments, int exit_code,
                    absl::string_view input = "") {
    const Outcome outcome =
        Run(arguments, {"--store", store_, "--model", "out"}, input);
    EXPECT_EQ(outcome.exit_code, exit_code) << outcome.errors;
    return outcome.errors;
  }

  void Train(const std::string& model, Arguments options) {
    options.insert(options.begin(), {"ngram", "--corpus", "-", "--order", "3"});
    Trainer(model, options, text_);
  }

  double LogProb(const std::string& model) {
    return nlohmann::json::parse(Trainer(
        model, {"evaluate", "--corpus", "-", "--json"}, other_))["log_prob"];
  }

  // Returns the contents of ngram.bin of version 1.
  std::string Bytes(const std::string& model) {
    return ReadFile(absl::StrCat(store_, "/", model, "/1/ngram.bin"));
  }

  const std::string text_ = DemoText(400, 1), other_ = DemoText(100, 2);
  const TemporaryDirectory directory_;
  const std::string store_ = directory_.File("store");
};

// Models that are no function of counts have their probabilities in the compact
// layout: the same floats.
TEST_F(LayoutCommandsTest, CompactHoldsEveryModel) {
  const Arguments methods[] = {
      {"--smoothing", "katz"},
      {"--smoothing", "additive"},
      {"--smoothing", "stupid-back-off"},
      {"--smoothing", "modified-kneser-ney", "--prune", "0", "0", "1"}};
  int number = 0;
  for (Arguments options : methods) {
    const std::string fast = absl::StrCat("fast", number);
    const std::string compact = absl::StrCat("compact", number++);
    Train(fast, options);
    options.insert(options.end(), {"--layout", "compact"});
    Train(compact, options);
    EXPECT_THAT(Bytes(compact), StartsWith("lmvalue1"));
    EXPECT_LT(Bytes(compact).size() * 2, Bytes(fast).size());
    EXPECT_EQ(LogProb(compact), LogProb(fast));
    const std::string inspected = Trainer(compact, {"inspect"});
    EXPECT_THAT(inspected, HasSubstr("layout      compact"));
    EXPECT_THAT(Trainer(compact, {"verify"}), HasSubstr("distributions"));
    // Both say the same numbers of n-grams.
    const std::string ngrams = inspected.substr(inspected.find("ngrams"));
    EXPECT_THAT(Trainer(fast, {"inspect"}),
                HasSubstr(ngrams.substr(0, ngrams.find('\n'))));
  }
  EXPECT_THAT(Fails({"ngram", "--corpus", "-", "--layout", "tiny"}, 2),
              HasSubstr("--layout"));
}

TEST_F(LayoutCommandsTest, ModelsOfOthersCanBeCompact) {
  Train("en", {});
  const std::string arpa = directory_.File("en.arpa");
  Trainer("en", {"export-arpa", arpa});
  Trainer("imported", {"import-arpa", arpa});
  Trainer("compact", {"import-arpa", arpa, "--layout", "compact"});
  EXPECT_THAT(Bytes("compact"), StartsWith("lmvalue1"));
  EXPECT_EQ(LogProb("compact"), LogProb("imported"));
  // The n-grams of contexts are in another order.
  const std::string again = directory_.File("again.arpa");
  Trainer("compact", {"export-arpa", again});
  Trainer("again", {"import-arpa", again});
  EXPECT_EQ(Bytes("again"), Bytes("imported"));

  for (const Arguments& command :
       {Arguments{"prune", "en", "--ngrams", "700"},
        Arguments{"interpolate", "--members", "en,imported", "--weights",
                  "0.5,0.5"}}) {
    const std::string name = command[0];
    Trainer(name, command);
    Arguments options = command;
    options.insert(options.end(), {"--layout", "compact"});
    Trainer(name + "-compact", options);
    EXPECT_THAT(Bytes(name + "-compact"), StartsWith("lmvalue1"));
    EXPECT_EQ(LogProb(name + "-compact"), LogProb(name));
  }
}

TEST_F(LayoutCommandsTest, Quantize) {
  Train("fast", {"--smoothing", "katz"});
  Train("exact", {"--smoothing", "katz", "--layout", "compact"});
  const double log_prob = LogProb("fast");
  size_t last = Bytes("exact").size();
  for (const std::string bits : {"8", "4", "2"}) {
    Train("q" + bits,
          {"--smoothing", "katz", "--layout", "compact", "--quantize", bits});
    EXPECT_LT(Bytes("q" + bits).size(), last);
    last = Bytes("q" + bits).size();
    EXPECT_THAT(Trainer("q" + bits, {"inspect"}),
                HasSubstr("quantize    " + bits));
  }
  // Its sums are not exact, and need not be.
  EXPECT_THAT(Trainer("q8", {"verify"}), HasSubstr("distributions"));
  EXPECT_NEAR(LogProb("q8"), log_prob, 1e-3 * -log_prob);
  EXPECT_NE(LogProb("q8"), log_prob);
  EXPECT_NEAR(LogProb("q4"), log_prob, 0.03 * -log_prob);
}

TEST_F(LayoutCommandsTest, QuantizeErrors) {
  const Arguments train = {"ngram", "--corpus", "-", "--quantize"};
  const auto errors = [&](const Arguments& more, int exit_code) {
    Arguments options = train;
    options.insert(options.end(), more.begin(), more.end());
    return Fails(options, exit_code, text_);
  };
  EXPECT_THAT(errors({"8"}, 2),
              HasSubstr("--quantize: expected --layout compact"));
  EXPECT_THAT(errors({"1", "--layout", "compact"}, 2), HasSubstr("2 to 16"));
  EXPECT_THAT(errors({"17", "--layout", "compact"}, 2), HasSubstr("2 to 16"));
  EXPECT_THAT(errors({"8", "--layout", "compact"}, 1),
              HasSubstr("--quantize: expected a model whose compact layout has "
                        "probabilities"));
}

TEST_F(LayoutCommandsTest, Convert) {
  for (const std::string method : {"katz", "additive", "stupid-back-off"}) {
    Train(method, {"--smoothing", method});
    EXPECT_EQ(Trainer(method, {"convert", "--layout", "compact", "--as",
                               method + "-compact"}),
              method + "-compact@1\n");
    EXPECT_THAT(Trainer(method + "-compact", {"inspect"}),
                HasSubstr("smoothing   " + method));
    Trainer(method + "-compact",
            {"convert", "--layout", "fast", "--as", method + "-fast"});
    EXPECT_EQ(Bytes(method + "-fast"), Bytes(method));
  }
  Train("counts", {"--layout", "compact"});
  EXPECT_THAT(Bytes("counts"), StartsWith("lmcount1"));
  Trainer("counts", {"convert", "--layout", "fast", "--as", "fast"});
  EXPECT_NEAR(LogProb("fast"), LogProb("counts"), 1e-5 * -LogProb("fast"));
}

TEST_F(LayoutCommandsTest, ConvertErrors) {
  const auto errors = [&](const std::string& model, const Arguments& options,
                          int exit_code) {
    Arguments arguments = {"convert"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    const Outcome outcome =
        Run(arguments, {"--store", store_, "--model", model});
    EXPECT_EQ(outcome.exit_code, exit_code);
    return outcome.errors;
  };
  Train("en", {});
  Train("counts", {"--layout", "compact"});
  EXPECT_THAT(errors("en", {}, 2),
              HasSubstr("--precision: expected a precision or --layout"));
  EXPECT_THAT(errors("en", {"--layout", "fast", "--precision", "int8"}, 2),
              HasSubstr("--layout"));
  EXPECT_THAT(errors("en", {"--precision", "int8"}, 1),
              HasSubstr("en@1: expected a neural network, found the family "
                        "ngram"));
  EXPECT_THAT(errors("counts", {"--layout", "compact"}, 1),
              HasSubstr("counts@1: expected a model that does not have counts "
                        "in the compact layout"));
}

}  // namespace
}  // namespace lmserve
