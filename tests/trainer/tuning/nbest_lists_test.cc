// SPDX-License-Identifier: Apache-2.0
#include "trainer/tuning/nbest_lists.h"

#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using testing::ContainsRegex;
using testing::ElementsAre;
using testing::HasSubstr;

absl::StatusOr<NbestLists> Read(std::string text) {
  return ReadNbestLists(*LineReader::FromString(std::move(text)));
}

std::string Problem(std::string text) {
  return std::string(Read(std::move(text)).status().message());
}

TEST(NbestListsTest, LinesWithTheSameIdFormAList) {
  const NbestLists lists = Read(
                               "3 ||| a b ||| lm= -1 tm= -2 ||| -3\r\n"
                               "3 ||| b ||| lm= -2 tm= -2 ||| -4\n"
                               "\n"
                               "7 |||  ||| lm= 0 tm= 0 ||| 0\n"
                               "3 ||| c ||| lm= -9 tm= -9 ||| -18")
                               .value();
  EXPECT_THAT(lists.feature_names, ElementsAre("lm", "tm"));
  ASSERT_EQ(lists.lists.size(), 2u);
  EXPECT_EQ(lists.candidates(), 4u);
  const NbestList& first = lists.lists[0];
  EXPECT_EQ(first.id, "3");
  ASSERT_EQ(first.candidates.size(), 3u);
  EXPECT_EQ(first.candidates[0].text, "a b");
  EXPECT_THAT(first.candidates[1].features, ElementsAre(-2, -2));
  EXPECT_EQ(first.candidates[2].total, -18);
  EXPECT_EQ(lists.lists[1].line, 4u);
  EXPECT_EQ(lists.lists[1].candidates[0].text, "");
}

TEST(NbestListsTest, ErrorsSayWhatIsWrong) {
  EXPECT_THAT(Problem(""), HasSubstr("expected a candidate, found none"));
  EXPECT_THAT(Problem("0 ||| a ||| lm= 1 ||| 1\n0 a\n"),
              HasSubstr("line 2: expected ID ||| HYPOTHESIS"));
  EXPECT_THAT(Problem("0 ||| a ||| lm= 1 ||| 1\n0 ||| a ||| tm= 1 ||| 1\n"),
              HasSubstr("line 2: features: expected lm, as the first "
                        "candidate has, found tm"));
  EXPECT_THAT(Problem("0 ||| a ||| lm= 1 ||| 1\n0 ||| a\n"),
              HasSubstr("found none"));
  EXPECT_THAT(Problem("0 ||| a ||| lm= nan ||| 1\n"),
              HasSubstr("line 1: feature lm: expected a finite number"));
}

class ReferencesTest : public testing::Test {
 protected:
  absl::StatusOr<std::vector<std::vector<std::string>>> Run(
      const std::string& ids, const std::vector<std::string>& texts,
      int64_t first_id = 0) {
    std::string list;
    for (char id : ids) list += std::string(1, id) + " ||| x ||| f= 1 ||| 1\n";
    std::vector<std::string> files;
    for (const std::string& text : texts) {
      files.push_back(directory_.File(std::to_string(files.size())));
      std::ofstream(files.back()) << text;
    }
    return ReadReferences(Read(list).value(), files, first_id);
  }

  std::string Problem(const std::string& ids,
                      const std::vector<std::string>& texts,
                      int64_t first_id = 0) {
    return std::string(Run(ids, texts, first_id).status().message());
  }

  const TemporaryDirectory directory_;
};

TEST_F(ReferencesTest, NumericIdsAreLineNumbers) {
  EXPECT_THAT(Run("20", {"a\nb\r\nc\n"}).value(),
              ElementsAre(ElementsAre("c"), ElementsAre("a")));
  EXPECT_THAT(Run("21", {"a\nb\n"}, 1).value(),
              ElementsAre(ElementsAre("b"), ElementsAre("a")));
  EXPECT_THAT(Run("1", {"a\nb\n", "c\nd\n"}).value(),
              ElementsAre(ElementsAre("b", "d")));
}

TEST_F(ReferencesTest, OtherIdsUseTheOrderOfTheLists) {
  EXPECT_THAT(Run("yx", {"a\nb\n"}).value(),
              ElementsAre(ElementsAre("a"), ElementsAre("b")));
}

TEST_F(ReferencesTest, ErrorsSayWhatIsWrong) {
  EXPECT_EQ(Problem("02", {"a\nb\n"}),
            "id 2: expected an id that has a reference, 0 to 1");
  EXPECT_EQ(Problem("0", {"a\nb\n"}, 1),
            "id 0: expected an id that has a reference, 1 to 2");
  EXPECT_THAT(Problem("0", {"a\nb\n", "a\n"}),
              ContainsRegex("expected 2 lines, as in .*0, found 1"));
  EXPECT_THAT(Problem("xy", {"a\n"}),
              HasSubstr("expected a reference for each of 2 lists"));
  EXPECT_THAT(std::string(ReadReferences({}, {"/none"}, 0).status().message()),
              HasSubstr("/none"));
}

}  // namespace
}  // namespace lmserve
