// SPDX-License-Identifier: Apache-2.0
#include "model_store/model_name.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::HasSubstr;

TEST(ModelNameTest, PlainNames) {
  for (const std::string& name :
       {std::string("a"), std::string("7"), std::string("demo"),
        std::string("en-US_v2.1"), std::string("-"), std::string("_."),
        std::string(64, 'x')}) {
    EXPECT_TRUE(CheckModelName(name).ok()) << name;
  }
}

TEST(ModelNameTest, InvalidNames) {
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."),
        std::string(".hidden"), std::string("a/b"), std::string("../a"),
        std::string("/a"), std::string("a b"), std::string("a\n"),
        std::string("a\0b", 3), std::string("a\\b"), std::string("a@b"),
        std::string("m\xc3\xbc"), std::string("a:b"), std::string(65, 'x')}) {
    const absl::Status status = CheckModelName(name);
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << name;
    EXPECT_THAT(std::string(status.message()), HasSubstr("expected 1 to 64"));
  }
}

// Names come from the network, so messages must limit their length and escape
// control characters.
TEST(ModelNameTest, MessageQuotesABoundedPlainPart) {
  const absl::Status status =
      CheckModelName("\x1b[31m" + std::string(100000, 'x'));
  EXPECT_LT(status.message().size(), 500u);
  EXPECT_THAT(std::string(status.message()), HasSubstr("\\x1b[31m"));
}

TEST(ModelNameTest, AliasIsANameButNotANumber) {
  for (absl::string_view alias : {"stable", "v1", "1a", "1.0", "-1"}) {
    EXPECT_TRUE(CheckAlias(alias).ok()) << alias;
  }
  for (absl::string_view alias : {"", "1", "007", ".a", "a/b"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(CheckAlias(alias))) << alias;
  }
}

TEST(ModelNameTest, ThreeForms) {
  const struct {
    const char* text;
    const char* name;
    uint64_t version;
    const char* alias;
  } cases[] = {
      {"m", "m", 0, ""},
      {"m@1", "m", 1, ""},
      {"m@007", "m", 7, ""},
      {"m@18446744073709551615", "m", 18446744073709551615u, ""},
      {"m@stable", "m", 0, "stable"},
      {"1@2", "1", 2, ""},
      {"m@-1", "m", 0, "-1"},
  };
  for (const auto& c : cases) {
    const absl::StatusOr<ModelName> found = ParseModelName(c.text);
    ASSERT_TRUE(found.ok()) << c.text << ": " << found.status();
    EXPECT_EQ(found->name, c.name) << c.text;
    EXPECT_EQ(found->version, c.version) << c.text;
    EXPECT_EQ(found->alias, c.alias) << c.text;
  }
}

TEST(ModelNameTest, InvalidForms) {
  for (absl::string_view text :
       {"", "@", "m@", "@1", "m@0", "m@00", "m@18446744073709551616", "m@a@b",
        "m@@1", "m@.a", "../m", "m@../1", "m@1 ", " m"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseModelName(text).status())) << text;
  }
}

}  // namespace
}  // namespace lmserve
