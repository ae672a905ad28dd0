// SPDX-License-Identifier: Apache-2.0
//
// Stores that earlier versions wrote give the answers that they gave then, and
// stores that later versions may write are refused. See tests/golden/README.md.

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/end_to_end/programs.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using nlohmann::json;
using testing::HasSubstr;

// Returns the path of a file that version 0.1 wrote: of its store, or its
// answers.
std::string GoldenPath(absl::string_view name) {
  return SourcePath(absl::StrCat("tests/golden/0.1/", name));
}

// Processors with other vector instructions give sums that differ in the last
// bits, and round products of weights with reduced precision differently.
double ToleranceOf(const std::string& arguments) {
  const bool reduced = absl::StrContains(arguments, "bf16") ||
                       absl::StrContains(arguments, "int8");
  return reduced ? 1e-2 : 1e-5;
}

// Expects equal values; numbers may differ by the tolerance.
void ExpectSame(const json& expected, const json& found,
                const std::string& where, double tolerance) {
  if (expected.is_number() && found.is_number()) {
    const double value = expected;
    EXPECT_NEAR(found.get<double>(), value,
                tolerance * std::max(1.0, std::abs(value)))
        << where;
  } else if (expected.is_structured() && expected.type() == found.type()) {
    ASSERT_EQ(expected.size(), found.size()) << where << ": " << found;
    for (const auto& [key, value] : expected.items()) {
      ASSERT_TRUE(expected.is_array() || found.contains(key))
          << where << "." << key << ": " << found;
      ExpectSame(value,
                 expected.is_array() ? found[std::stoul(key)] : found[key],
                 absl::StrCat(where, ".", key), tolerance);
    }
  } else {
    EXPECT_EQ(expected, found) << where;
  }
}

TEST(GoldenStoreTest, AnswersAsTheVersionThatWroteIt) {
  ServerProcess server(GoldenPath("store"));
  ASSERT_NE(server.address(), "") << server.process().Errors();
  const std::string answers = ReadFile(GoldenPath("answers.jsonl"));
  int checked = 0;
  for (absl::string_view line :
       absl::StrSplit(answers, '\n', absl::SkipEmpty())) {
    const json answer = json::parse(line);
    const Outcome outcome = server.Client(answer["arguments"]);
    const std::string where = answer["arguments"].dump();
    ASSERT_EQ(outcome.exit_code, 0) << where << outcome.errors;
    json output = json::array();
    for (absl::string_view object :
         absl::StrSplit(outcome.output, '\n', absl::SkipEmpty())) {
      output.push_back(json::parse(object));
    }
    ExpectSame(answer["output"], output, where, ToleranceOf(where));
    ++checked;
  }
  EXPECT_EQ(checked, 30);
}

TEST(GoldenStoreTest, ServesEveryModelWithoutARefusal) {
  ServerProcess server(GoldenPath("store"));
  ASSERT_NE(server.address(), "") << server.process().Errors();
  const Outcome models = server.Client({"models", "--json"});
  ASSERT_EQ(models.exit_code, 0) << models.errors;
  const json store = json::parse(models.output);
  EXPECT_EQ(store["models"].size(), 15u);
  EXPECT_TRUE(store["refused"].empty()) << store["refused"];
}

// A copy of the golden n-gram model in which `from` in a file is `to`.
Outcome InspectChanged(const std::string& file, absl::string_view from,
                       absl::string_view to) {
  const TemporaryDirectory store;
  std::filesystem::create_directory(store.File("ngram"));
  std::filesystem::copy(GoldenPath("store/ngram/1"), store.File("ngram/1"));
  const std::string path = store.File("ngram/1/" + file);
  std::string bytes = ReadFile(path);
  EXPECT_THAT(bytes, HasSubstr(std::string(from)));
  bytes = absl::StrReplaceAll(bytes, {{from, to}});
  std::filesystem::remove(path);
  WriteText(path, bytes);
  return RunTrainer({"inspect", "--store", store.path(), "--model", "ngram"});
}

TEST(GoldenStoreTest, RefusesANewerFormat) {
  const Outcome outcome = InspectChanged(
      "manifest.json", "\"format_version\": 1", "\"format_version\": 2");
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.errors,
              HasSubstr("manifest.json: format_version: expected 1, found '2': "
                        "a newer lmserve wrote this version"));
}

TEST(GoldenStoreTest, RefusesAnUnknownFamily) {
  const Outcome outcome = InspectChanged(
      "manifest.json", "\"family\": \"ngram\"", "\"family\": \"transformer\"");
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.errors, HasSubstr("transformer"));
}

}  // namespace
}  // namespace lmserve
