// SPDX-License-Identifier: Apache-2.0
#include "trainer/text/aligned_lines.h"

#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using testing::ElementsAre;

class AlignedLinesTest : public testing::Test {
 protected:
  std::string File(const std::string& name, const std::string& text) {
    std::string path = directory_.File(name);
    std::ofstream(path) << text;
    return path;
  }

  static std::string Problem(const std::vector<std::string>& files) {
    return std::string(ReadAlignedLines(files).status().message());
  }

  const TemporaryDirectory directory_;
};

TEST_F(AlignedLinesTest, LinesOfEachFile) {
  EXPECT_THAT(
      ReadAlignedLines({File("a", "a\n\nb c"), File("b", "x\r\ny\nz\n")})
          .value(),
      ElementsAre(ElementsAre("a", "x"), ElementsAre("", "y"),
                  ElementsAre("b c", "z")));
  EXPECT_THAT(ReadAlignedLines({File("c", "")}).value(), ElementsAre());
}

TEST_F(AlignedLinesTest, MarkersAroundALineArePassedOver) {
  const std::string files[] = {File("a", "<s> a b </s>\n<s>\n"),
                               File("b", "c\n</s>\r\n")};
  EXPECT_THAT(ReadAlignedLines(files).value(),
              ElementsAre(ElementsAre("a b", "c"), ElementsAre("", "")));
}

TEST_F(AlignedLinesTest, ErrorsNameTheFile) {
  const std::string a = File("a", "a\nb\n"), less = File("less", "x\n"),
                    more = File("more", "x\ny\nz\n");
  EXPECT_EQ(Problem({a, less}),
            less + ": expected 2 lines, as in " + a + ", found 1");
  EXPECT_EQ(Problem({a, a, more}),
            more + ": expected 2 lines, as in " + a + ", found 3");
  const std::string bad = File("bad", "x\n\xff\n");
  EXPECT_EQ(Problem({a, bad}), bad + " line 2: invalid UTF-8");
  EXPECT_THAT(Problem({a, directory_.File("none")}),
              testing::HasSubstr(directory_.File("none")));
}

}  // namespace
}  // namespace lmserve
