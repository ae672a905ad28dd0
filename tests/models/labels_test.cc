// SPDX-License-Identifier: Apache-2.0
#include "models/labels.h"

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::ElementsAre;

std::string Error(absl::string_view text) {
  return std::string(ParseLabels(text).status().message());
}

TEST(LabelsTest, LinesAreLabels) {
  EXPECT_THAT(ParseLabels("NOUN\nB-NP\n\u00e4\n").value(),
              ElementsAre("NOUN", "B-NP", "\u00e4"));
}

TEST(LabelsTest, WhatIsFormattedIsParsed) {
  const std::vector<std::string> labels = {"O", "B-NP", "I-NP"};
  EXPECT_EQ(ParseLabels(FormatLabels(labels)).value(), labels);
}

TEST(LabelsTest, BrokenFilesAreRefusedWithTheLine) {
  EXPECT_EQ(Error(""), "labels.txt: line 1: expected a label, found none");
  EXPECT_EQ(Error("a\nb"),
            "labels.txt: line 2: expected LF at the end of the line");
  EXPECT_EQ(Error("a\n\nb\n"),
            "labels.txt: line 2: expected a label, found an empty line");
  EXPECT_EQ(Error("a\na\n"), "labels.txt: line 2: duplicate label 'a'");
  EXPECT_EQ(Error("a b\n"),
            "labels.txt: line 1: expected a label without white space, found "
            "'a b'");
  EXPECT_THAT(Error("a\nb\xff\n"),
              testing::StartsWith("labels.txt: line 2: expected valid UTF-8"));
  EXPECT_EQ(Error(absl::StrCat(std::string(kMaxLabelSize + 1, 'x'), "\n")),
            "labels.txt: line 1: expected a label of at most 1024 bytes, found "
            "1025");
  std::string many;
  for (size_t i = 0; i < kMaxLabels; ++i) absl::StrAppend(&many, i, "\n");
  EXPECT_EQ(ParseLabels(many)->size(), kMaxLabels);
  EXPECT_EQ(Error(absl::StrCat(many, "x\n")),
            "labels.txt: line 1025: expected at most 1024 labels");
}

TEST(LabelsTest, ChunkLabelsAreSplitAtTheFirstHyphen) {
  const auto split = [](absl::string_view label) {
    const ChunkLabel chunk = SplitChunkLabel(label);
    return absl::StrCat(chunk.prefix, "|", chunk.type);
  };
  EXPECT_EQ(split("B-NP"), "B|NP");
  EXPECT_EQ(split("I-a-b"), "I|a-b");
  EXPECT_EQ(split("O"), "O|");
  EXPECT_EQ(split(""), "|");
}

TEST(LabelsTest, BioLabels) {
  for (absl::string_view label : {"O", "B-NP", "I-NP", "B-a-b"}) {
    EXPECT_TRUE(IsBioLabel(label)) << label;
  }
  for (absl::string_view label :
       {"NOUN", "B", "I", "B-", "I-", "E-NP", "O-NP", "b-NP", ""}) {
    EXPECT_FALSE(IsBioLabel(label)) << label;
  }
}

TEST(LabelsTest, AnInsideLabelFollowsItsChunkOnly) {
  EXPECT_TRUE(MayFollow(std::nullopt, "O"));
  EXPECT_TRUE(MayFollow(std::nullopt, "B-A"));
  EXPECT_FALSE(MayFollow(std::nullopt, "I-A"));
  for (absl::string_view before : {"O", "B-A", "I-A", "B-B"}) {
    EXPECT_TRUE(MayFollow(before, "O"));
    EXPECT_TRUE(MayFollow(before, "B-A"));
  }
  EXPECT_TRUE(MayFollow("B-A", "I-A"));
  EXPECT_TRUE(MayFollow("I-A", "I-A"));
  EXPECT_FALSE(MayFollow("O", "I-A"));
  EXPECT_FALSE(MayFollow("B-B", "I-A"));
  EXPECT_FALSE(MayFollow("I-B", "I-A"));
}

}  // namespace
}  // namespace lmserve
