// SPDX-License-Identifier: Apache-2.0
#include "client/text_source.h"

#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// Replaces the contents of std::cin during its lifetime.
class StandardInput {
 public:
  explicit StandardInput(const std::string& text)
      : text_(text), before_(std::cin.rdbuf(text_.rdbuf())) {
    std::cin.clear();
  }
  StandardInput(const StandardInput&) = delete;
  StandardInput& operator=(const StandardInput&) = delete;
  ~StandardInput() { std::cin.rdbuf(before_); }

 private:
  std::istringstream text_;
  std::streambuf* const before_;
};

template <typename Source>
std::vector<std::string> Texts(Source& source) {
  std::vector<std::string> texts;
  for (std::string text; source.Next(&text);) texts.push_back(text);
  return texts;
}

TEST(TextSourceTest, SkipsBlankArguments) {
  StandardInput input("not read\n");
  TextSource source({"the cat", " \t", "a dog", ""});
  EXPECT_THAT(Texts(source), ElementsAre("the cat", "a dog"));
  EXPECT_EQ(source.blank(), 2);
}

TEST(TextSourceTest, ReadsLinesWithoutArguments) {
  StandardInput input("the cat\r\n\n \t\r\n  a dog ");
  TextSource source({});
  EXPECT_THAT(Texts(source), ElementsAre("the cat", "  a dog "));
  EXPECT_EQ(source.blank(), 2);
}

TEST(TextSourceTest, EmptyInput) {
  StandardInput input("");
  TextSource source({});
  EXPECT_THAT(Texts(source), IsEmpty());
  EXPECT_EQ(source.blank(), 0);
}

TEST(ArgumentsOrLinesTest, ReturnsArgumentsUnchanged) {
  StandardInput input("not read\n");
  ArgumentsOrLines source({"the cat\r", ""});
  EXPECT_THAT(Texts(source), ElementsAre("the cat\r", ""));
}

TEST(ArgumentsOrLinesTest, ReturnsLinesUnchanged) {
  StandardInput input("the cat\r\n\n a dog");
  ArgumentsOrLines source({});
  EXPECT_THAT(Texts(source), ElementsAre("the cat\r", "", " a dog"));
}

}  // namespace
}  // namespace lmserve
