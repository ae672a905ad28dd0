// SPDX-License-Identifier: Apache-2.0
#include "trainer/tuning/nbest_lists.h"

#include <fstream>
#include <optional>
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
                               "3 ||| c ||| lm= -9 tm= -9 ||| -18\n"
                               "7 |||  ||| lm= 0 tm= 0 ||| 0")
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
  EXPECT_EQ(lists.lists[1].line, 5u);
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

// A line that was moved belongs to another list.
TEST(NbestListsTest, TheLinesOfAListAreConsecutive) {
  EXPECT_THAT(Problem("3 ||| a ||| lm= 1\n"
                      "3 ||| b ||| lm= 1\n"
                      "7 ||| c ||| lm= 1\n"
                      "3 ||| d ||| lm= 1\n"),
              HasSubstr("line 4: id: expected '7' or a new id, found '3', "
                        "whose list ended in line 2; the lines of a list must "
                        "be consecutive"));
}

class ReferencesTest : public testing::Test {
 protected:
  absl::StatusOr<std::vector<std::vector<std::string>>> Run(
      const std::string& ids, const std::vector<std::string>& texts,
      std::optional<uint64_t> first_id = std::nullopt) {
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
                      std::optional<uint64_t> first_id = std::nullopt) {
    return std::string(Run(ids, texts, first_id).status().message());
  }

  const TemporaryDirectory directory_;
};

TEST_F(ReferencesTest, NumericIdsAreLineNumbers) {
  EXPECT_THAT(Run("20", {"a\nb\r\nc\n"}, 0).value(),
              ElementsAre(ElementsAre("c"), ElementsAre("a")));
  EXPECT_THAT(Run("21", {"a\nb\n"}, 1).value(),
              ElementsAre(ElementsAre("b"), ElementsAre("a")));
  EXPECT_THAT(Run("1", {"a\nb\n", "c\nd\n"}, 0).value(),
              ElementsAre(ElementsAre("b", "d")));
}

// Lists with the ids from 1 would get the references of their neighbors.
TEST_F(ReferencesTest, AFirstIdOtherThan0AsksForFirstId) {
  EXPECT_THAT(Problem("12", {"a\nb\nc\n"}),
              HasSubstr(" line 1: id: expected 0 as the first id with "
                        "--reference, found 1; --first-id says which id "
                        "belongs to the first line of --reference, such as 1"));
  EXPECT_THAT(Run("02", {"a\nb\nc\n"}).value(),
              ElementsAre(ElementsAre("a"), ElementsAre("c")));
}

TEST_F(ReferencesTest, OtherIdsUseTheOrderOfTheLists) {
  EXPECT_THAT(Run("yx", {"a\nb\n"}).value(),
              ElementsAre(ElementsAre("a"), ElementsAre("b")));
}

TEST_F(ReferencesTest, ErrorsSayWhatIsWrong) {
  EXPECT_THAT(Problem("02", {"a\nb\n"}),
              HasSubstr(" line 2: id: expected the number of a line of "
                        "--reference, from 0 to 1, found '2'"));
  EXPECT_THAT(Problem("0", {"a\nb\n"}, 1), HasSubstr("from 1 to 2, found '0'"));
  EXPECT_THAT(Problem("0", {""}),
              HasSubstr("expected a reference, found none"));
  EXPECT_THAT(Problem("0", {"a\nb\n", "a\n"}),
              ContainsRegex("expected 2 lines, as in .*0, found 1"));
  EXPECT_THAT(Problem("xy", {"a\n"}),
              HasSubstr("expected a reference for each of 2 lists"));
  EXPECT_THAT(std::string(ReadReferences({}, {"/none"}, 0).status().message()),
              HasSubstr("/none"));
}

}  // namespace
}  // namespace lmserve
