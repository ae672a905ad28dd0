// SPDX-License-Identifier: Apache-2.0
#include <clocale>
#include <cmath>
#include <limits>
#include <locale>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/text.h"
#include "ngram_files/arpa.h"
#include "tests/testing/ngram_models.h"

namespace lmserve {
namespace {

constexpr float kZero = -std::numeric_limits<float>::infinity();

// A model of the words <unk> <s> </s> a. "<s> a" is more probable than
// "<s> </s>" and comes first.
BuiltNgramModel SmallModel() {
  NgramTable table;
  table.levels = {
      {{0, 1, 2, 3}, {-8, kZero, -2, -1}, {0, -0.5, 0, 0.25}, {0, 0, 2, 2, 3}},
      {{2, 3, 3}, {-4, -0.125, -16}, {}, {}}};
  return BuildModel(Vocabulary::Parse("<unk>\n<s>\n</s>\na\n").value(), table);
}

std::string Write(const NgramModel& model) {
  std::ostringstream out;
  const absl::Status status = WriteArpa(model, out);
  EXPECT_TRUE(status.ok()) << status;
  return out.str();
}

// 1 / ln 10 = 0.43429448190325...; probability 0 is written as -99.
constexpr char kSmallArpa[] =
    "\\data\\\n"
    "ngram 1=4\n"
    "ngram 2=3\n"
    "\n"
    "\\1-grams:\n"
    "-3.47435586\t<unk>\t0\n"
    "-99\t<s>\t-0.217147241\n"
    "-0.868588964\t</s>\t0\n"
    "-0.434294482\ta\t0.10857362\n"
    "\n"
    "\\2-grams:\n"
    "-0.0542868102\t<s> a\n"
    "-1.73717793\t<s> </s>\n"
    "-6.94871171\ta a\n"
    "\n"
    "\\end\\\n";

TEST(ArpaWriter, ExactText) {
  const BuiltNgramModel built = SmallModel();
  EXPECT_EQ(Write(*built.model), kSmallArpa);
}

// A locale with other separators. Neither the thousands separator of the stream
// nor the decimal comma of the process may change the output.
class Separators : public std::numpunct<char> {
 protected:
  char do_decimal_point() const override { return ','; }
  char do_thousands_sep() const override { return '.'; }
  std::string do_grouping() const override { return "\1"; }
};

TEST(ArpaWriter, IgnoresTheLocaleOfTheStream) {
  const BuiltNgramModel built = BuildFromArpa(TinyArpa());
  std::ostringstream out;
  out.imbue(std::locale(std::locale::classic(), new Separators));
  ASSERT_TRUE(WriteArpa(*built.model, out).ok());
  EXPECT_EQ(out.str(), Write(*built.model));
}

TEST(ArpaWriter, IgnoresTheLocaleOfTheProcess) {
  const std::string before = std::setlocale(LC_ALL, nullptr);
  bool found = false;
  for (const char* name : {"de_DE.UTF-8", "de_DE.utf8", "fr_FR.UTF-8"}) {
    found = found || std::setlocale(LC_ALL, name) != nullptr;
  }
  if (!found) GTEST_SKIP() << "no locale with a decimal comma is installed";
  const BuiltNgramModel built = SmallModel();
  const std::string arpa = Write(*built.model);
  std::setlocale(LC_ALL, before.c_str());
  EXPECT_EQ(arpa, kSmallArpa);
}

struct Method {
  std::string name;
  int order = 2;
  std::vector<uint32_t> prune = {};
};

EstimateOptions Options(const Method& method) {
  EstimateOptions options;
  options.smoothing.method = method.name;
  options.prune = method.prune;
  return options;
}

class ExportableTest : public testing::TestWithParam<Method> {};

std::vector<float> Distribution(const NgramModel& model,
                                const std::byte* state) {
  std::vector<float> log_probs(model.vocabulary().size());
  model.Distribution({state}, log_probs.data());
  return log_probs;
}

// Compares the probability of every word of a text that is not in the training
// data.
TEST_P(ExportableTest, ComesBack) {
  const TrainedNgramModel trained =
      TrainModel(DemoText(300, 1), GetParam().order, Options(GetParam()));
  const NgramModel& model = *trained.model;
  const BuiltNgramModel read = BuildFromArpa(Write(model));
  ASSERT_EQ(read.model->vocabulary().text(), model.vocabulary().text());
  std::vector<std::byte> state(model.state_size());
  std::vector<std::byte> read_state(read.model->state_size());
  for (absl::string_view sentence : absl::StrSplit(DemoText(10, 2), '\n')) {
    model.Start(state.data());
    read.model->Start(read_state.data());
    for (absl::string_view word : SplitWords(sentence)) {
      EXPECT_THAT(Distribution(*read.model, read_state.data()),
                  testing::Pointwise(testing::FloatNear(1e-5),
                                     Distribution(model, state.data())));
      const WordId id = model.vocabulary().Find(word);
      EXPECT_EQ(model.ScoreWord(state.data(), id).order,
                read.model->ScoreWord(read_state.data(), id).order);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Methods, ExportableTest,
    testing::Values(Method{"modified-kneser-ney", 1},
                    Method{"modified-kneser-ney", 4},
                    Method{"modified-kneser-ney", 4, {0, 0, 1}},
                    Method{"witten-bell", 3}, Method{"katz", 3},
                    Method{"katz", 3, {0, 1}}, Method{"maximum-likelihood", 2},
                    Method{"additive", 1}, Method{"stupid-back-off", 1}));

class NotExportableTest : public testing::TestWithParam<std::string> {};

TEST_P(NotExportableTest, IsRefused) {
  const TrainedNgramModel trained =
      TrainModel(DemoText(20, 1), 2, Options({GetParam()}));
  std::ostringstream out;
  const absl::Status status = WriteArpa(*trained.model, out);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(out.str(), "");
}

INSTANTIATE_TEST_SUITE_P(Methods, NotExportableTest,
                         testing::Values("additive", "stupid-back-off"));

// Files have a longer header above order 16.
TEST(ArpaWriter, OrdersUpToTheHighest) {
  for (int order : {16, 17, kMaxNgramOrder}) {
    std::string sentence = "a";
    for (int i = 0; i < 40; ++i) sentence += i % 7 == 0 ? " b" : " a";
    const BuiltNgramModel built = TrainModel(sentence + "\nb a\n", order);
    ASSERT_EQ(built.model->order(), order);
    const std::string arpa = Write(*built.model);
    EXPECT_THAT(arpa, testing::HasSubstr(absl::StrCat("\\", order, "-grams:")));
    const BuiltNgramModel again = BuildFromArpa(arpa);
    EXPECT_EQ(again.bytes, built.bytes);
    EXPECT_EQ(again.bytes.substr(0, 8), order <= 16 ? "lmngram1" : "lmngram2");
  }
}

}  // namespace
}  // namespace lmserve
