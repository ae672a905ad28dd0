// SPDX-License-Identifier: Apache-2.0
//
// The expected numbers are those of conlleval 2004-01-26 by its definition,
// counted by hand.

#include "trainer/evaluation/chunk_counts.h"

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "models/text.h"

namespace lmserve {
namespace {

ChunkCounts Count(const std::string& expected, const std::string& found) {
  ChunkCounts counts;
  counts.Add(SplitWords(expected), SplitWords(found));
  return counts;
}

void ExpectCounts(const ChunkCounts& counts, uint64_t expected, uint64_t found,
                  uint64_t correct) {
  EXPECT_EQ(counts.expected, expected);
  EXPECT_EQ(counts.found, found);
  EXPECT_EQ(counts.correct, correct);
}

TEST(ChunkCountsTest, ChunksMustBeWhole) {
  ExpectCounts(Count("B-NP I-NP O B-VP", "B-NP I-NP O B-VP"), 2, 2, 2);
  ExpectCounts(Count("B-NP I-NP O B-VP", "B-NP O O B-VP"), 2, 2, 1);
  ExpectCounts(Count("B-NP I-NP O B-VP", "B-NP B-NP O B-NP"), 2, 3, 0);
  ExpectCounts(Count("O O", "O O"), 0, 0, 0);
}

// Adjacent chunks of a type are told apart by B; I after O or after another
// type begins a chunk (the labels IOB1).
TEST(ChunkCountsTest, BeginsOfChunks) {
  ExpectCounts(Count("B-NP B-NP I-NP", "B-NP B-NP I-NP"), 2, 2, 2);
  ExpectCounts(Count("I-NP I-NP O I-NP", "B-NP I-NP O B-NP"), 2, 2, 2);
  ExpectCounts(Count("B-NP I-VP", "B-NP B-VP"), 2, 2, 2);
  ExpectCounts(Count("I-NP B-NP", "B-NP I-NP"), 2, 1, 0);
}

TEST(ChunkCountsTest, EndsAndSingles) {
  ExpectCounts(Count("B-A I-A E-A S-A O", "B-A I-A I-A B-A O"), 2, 2, 2);
  ExpectCounts(Count("S-A S-A", "B-A I-A"), 2, 1, 0);
  ExpectCounts(Count("B-A E-A I-A", "B-A I-A B-A"), 2, 2, 2);
}

// Types may have hyphens; O ends a chunk, and the end of a sentence, too.
TEST(ChunkCountsTest, TypesAndSentences) {
  ExpectCounts(Count("B-a-b I-a-b", "B-a-b I-a-c"), 1, 2, 0);
  ChunkCounts counts;
  counts.Add(SplitWords("B-NP"), SplitWords("B-NP"));
  counts.Add(SplitWords("I-NP"), SplitWords("I-NP"));
  ExpectCounts(counts, 2, 2, 2);
}

TEST(ChunkCountsTest, Measures) {
  ChunkCounts counts = {.expected = 4, .found = 2, .correct = 1};
  EXPECT_DOUBLE_EQ(counts.Precision(), 0.5);
  EXPECT_DOUBLE_EQ(counts.Recall(), 0.25);
  EXPECT_DOUBLE_EQ(counts.F1(), 1 / 3.0);
  counts = {};
  EXPECT_EQ(counts.Precision(), 0);
  EXPECT_EQ(counts.Recall(), 0);
  EXPECT_EQ(counts.F1(), 0);
}

TEST(ChunkCountsTest, LabelsOfChunks) {
  for (absl::string_view label : {"O", "B-X", "I-X", "E-X", "S-X"}) {
    EXPECT_TRUE(IsChunkLabel(label)) << label;
  }
  for (absl::string_view label : {"NOUN", "B", "O-X", "X-B", "B-"}) {
    EXPECT_FALSE(IsChunkLabel(label)) << label;
  }
}

}  // namespace
}  // namespace lmserve
