// SPDX-License-Identifier: Apache-2.0
//
// The cases of the specification's own test suite (w3c/trace-context, test.py)
// are among these.

#include "server/telemetry/trace_context.h"

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

constexpr char kTrace[] = "0af7651916cd43dd8448eb211c80319c";
constexpr char kSpan[] = "b7ad6b7169203331";

std::string Parent(const std::string& version, const std::string& trace,
                   const std::string& span, const std::string& flags) {
  return absl::StrCat(version, "-", trace, "-", span, "-", flags);
}

TEST(TraceContextTest, ParsesIdsAndTheFlag) {
  const auto parent = ParseTraceParent(Parent("00", kTrace, kSpan, "01"));
  ASSERT_TRUE(parent.has_value());
  EXPECT_EQ(parent->trace_id.high, 0x0af7651916cd43ddu);
  EXPECT_EQ(parent->trace_id.low, 0x8448eb211c80319cu);
  EXPECT_EQ(parent->span_id, 0xb7ad6b7169203331u);
  EXPECT_TRUE(parent->is_sampled);
  EXPECT_EQ(ToHex(parent->trace_id), kTrace);
  EXPECT_EQ(ToHex(parent->span_id), kSpan);
  EXPECT_EQ(ToHex(uint64_t{1}), "0000000000000001");
}

TEST(TraceContextTest, OnlyTheLastBitOfTheFlagsSaysSampled) {
  for (const auto& [flags, is_sampled] : {std::pair{"00", false},
                                          {"01", true},
                                          {"02", false},
                                          {"03", true},
                                          {"fe", false},
                                          {"ff", true}}) {
    const auto parent = ParseTraceParent(Parent("00", kTrace, kSpan, flags));
    ASSERT_TRUE(parent.has_value()) << flags;
    EXPECT_EQ(parent->is_sampled, is_sampled) << flags;
  }
}

TEST(TraceContextTest, LaterVersionsMayHaveMore) {
  const std::string later = Parent("cc", kTrace, kSpan, "01");
  EXPECT_TRUE(ParseTraceParent(later).has_value());
  EXPECT_TRUE(ParseTraceParent(later + "-what-the-future-brings").has_value());
  EXPECT_TRUE(ParseTraceParent(later + "-").has_value());
  EXPECT_FALSE(ParseTraceParent(later + ".what-the-future-brings").has_value());
  EXPECT_FALSE(ParseTraceParent(later + "-a b").has_value());
  EXPECT_FALSE(ParseTraceParent(later + "-" + std::string(128, 'x')));
  // Version 00 may not.
  const std::string first = Parent("00", kTrace, kSpan, "01");
  for (const char* more : {"-", "-x", ".", " ", "0"}) {
    EXPECT_FALSE(ParseTraceParent(first + more).has_value()) << more;
  }
}

TEST(TraceContextTest, OtherFormsAreRejected) {
  const std::string zeros(32, '0');
  for (const std::string& bad :
       {std::string(), std::string("-"), std::string(55, '-'),
        std::string(55, '0'),
        // versions
        Parent("ff", kTrace, kSpan, "01"), Parent(".0", kTrace, kSpan, "01"),
        Parent("0.", kTrace, kSpan, "01"), Parent("000", kTrace, kSpan, "01"),
        Parent("0", kTrace, kSpan, "01"), Parent("CC", kTrace, kSpan, "01"),
        // traces
        Parent("00", zeros, kSpan, "01"),
        Parent("00", "0AF7651916CD43DD8448EB211C80319C", kSpan, "01"),
        Parent("00", ".af7651916cd43dd8448eb211c80319c", kSpan, "01"),
        Parent("00", "0af7651916cd43dd8448eb211c80319.", kSpan, "01"),
        Parent("00", absl::StrCat(kTrace, "1"), kSpan, "01"),
        Parent("00", std::string(kTrace).substr(1), kSpan, "01"),
        // spans
        Parent("00", kTrace, zeros.substr(16), "01"),
        Parent("00", kTrace, "B7AD6B7169203331", "01"),
        Parent("00", kTrace, ".7ad6b7169203331", "01"),
        Parent("00", kTrace, absl::StrCat(kSpan, "1"), "01"),
        Parent("00", kTrace, std::string(kSpan).substr(1), "01"),
        // flags
        Parent("00", kTrace, kSpan, ".0"), Parent("00", kTrace, kSpan, "0."),
        Parent("00", kTrace, kSpan, "001"), Parent("00", kTrace, kSpan, "1"),
        Parent("00", kTrace, kSpan, "0G"), Parent("00", kTrace, kSpan, ""),
        // two headers, joined
        absl::StrCat(Parent("00", kTrace, kSpan, "01"), ",",
                     Parent("00", kTrace, kSpan, "01")),
        absl::StrCat(" ", Parent("00", kTrace, kSpan, "01"))}) {
    EXPECT_FALSE(ParseTraceParent(bad).has_value()) << bad;
  }
}

// Any byte of a valid header that is replaced by another one makes an invalid
// header or another valid one, in which exactly this byte differs.
TEST(TraceContextTest, WhatIsAcceptedIsWhatWasSent) {
  std::mt19937 random(1);
  int accepted = 0;
  for (int i = 0; i < 100'000; ++i) {
    std::string text = Parent("00", kTrace, kSpan, "01");
    for (unsigned changes = random() % 3 + 1; changes > 0; --changes) {
      text[random() % text.size()] = static_cast<char>(
          random() % 2 == 0 ? "0123456789abcdef"[random() % 16] : random());
    }
    const auto parent = ParseTraceParent(text);
    if (!parent.has_value()) continue;
    ++accepted;
    EXPECT_EQ(ToHex(parent->trace_id), text.substr(3, 32));
    EXPECT_EQ(ToHex(parent->span_id), text.substr(36, 16));
  }
  EXPECT_GT(accepted, 10'000);
}

TEST(TraceContextTest, StatesOfTheRightForm) {
  std::vector<std::string> members;
  for (int i = 0; i < 32; ++i) members.push_back(absl::StrCat("k", i, "=1"));
  for (const std::string& good :
       {std::string("foo=1"), std::string("foo=1,bar=2"),
        std::string("foo=1 \t , \t bar=2"), std::string("foo=1,,bar=2,"),
        std::string("foo=1,foo=2"), std::string("a-_*/9=v"),
        std::string("tenant@system=1"), std::string("0tenant@system=1"),
        std::string("foo= a b"), std::string("foo=!~"),
        absl::StrJoin(members, ","), std::string(256, 'z') + "=1",
        "foo=" + std::string(256, 'v'),
        std::string(241, 't') + "@" + std::string(14, 'v') + "=1"}) {
    EXPECT_TRUE(IsTraceState(good)) << good;
  }
}

TEST(TraceContextTest, StatesOfOtherForms) {
  std::vector<std::string> members;
  for (int i = 0; i < 33; ++i) members.push_back(absl::StrCat("k", i, "=1"));
  for (const std::string& bad : {std::string(),
                                 std::string(","),
                                 std::string("foo"),
                                 std::string("=1"),
                                 std::string("foo="),
                                 std::string("foo =1"),
                                 std::string("FOO=1"),
                                 std::string("foo.bar=1"),
                                 std::string("0foo=1"),
                                 std::string("foo=1=2"),
                                 std::string("foo=\x7f"),
                                 std::string("foo=caf\xc3\xa9"),
                                 std::string("foo@=1"),
                                 std::string("@foo=1"),
                                 std::string("foo@@bar=1"),
                                 std::string("foo@bar@baz=1"),
                                 std::string("tenant@0system=1"),
                                 std::string("foo=a\nb"),
                                 absl::StrJoin(members, ","),
                                 std::string(257, 'z') + "=1",
                                 "foo=" + std::string(257, 'v'),
                                 std::string(242, 't') + "@v=1",
                                 "t@" + std::string(15, 'v') + "=1",
                                 "a=" + std::string(250, 'v') +
                                     ",b=" + std::string(256, 'v') + ",c=1"}) {
    EXPECT_FALSE(IsTraceState(bad)) << bad;
  }
}

}  // namespace
}  // namespace lmserve
