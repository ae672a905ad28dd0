// SPDX-License-Identifier: Apache-2.0
#include "trainer/evaluation/chunk_counts.h"

#include <algorithm>
#include <tuple>
#include <vector>

#include "models/labels.h"

namespace lmserve {
namespace {

// A chunk: the index of its first word, that after its last one, and its type.
using Chunk = std::tuple<size_t, size_t, absl::string_view>;

bool BeginsChunk(const ChunkLabel& before, const ChunkLabel& label) {
  if (label.prefix == "O") return false;
  if (label.prefix == "B" || label.prefix == "S") return true;
  return before.prefix == "O" || before.prefix == "E" || before.prefix == "S" ||
         before.type != label.type;
}

bool EndsChunk(const ChunkLabel& label, const ChunkLabel& after) {
  if (label.prefix == "O") return false;
  return after.prefix == "O" || label.prefix == "E" || label.prefix == "S" ||
         BeginsChunk(label, after);
}

// Returns the chunks in the order of their first words.
std::vector<Chunk> FindChunks(absl::Span<const absl::string_view> labels) {
  const ChunkLabel outside = {"O", ""};
  std::vector<Chunk> chunks;
  size_t begin = 0;
  for (size_t t = 0; t < labels.size(); ++t) {
    const ChunkLabel label = SplitChunkLabel(labels[t]);
    const ChunkLabel before = t == 0 ? outside : SplitChunkLabel(labels[t - 1]);
    const ChunkLabel after =
        t + 1 == labels.size() ? outside : SplitChunkLabel(labels[t + 1]);
    if (BeginsChunk(before, label)) begin = t;
    if (EndsChunk(label, after)) chunks.emplace_back(begin, t + 1, label.type);
  }
  return chunks;
}

double Ratio(double part, double whole) { return whole > 0 ? part / whole : 0; }

}  // namespace

void ChunkCounts::Add(absl::Span<const absl::string_view> expected_labels,
                      absl::Span<const absl::string_view> found_labels) {
  const std::vector<Chunk> expected_chunks = FindChunks(expected_labels);
  const std::vector<Chunk> found_chunks = FindChunks(found_labels);
  expected += expected_chunks.size();
  found += found_chunks.size();
  std::vector<Chunk> common;
  std::set_intersection(expected_chunks.begin(), expected_chunks.end(),
                        found_chunks.begin(), found_chunks.end(),
                        std::back_inserter(common));
  correct += common.size();
}

double ChunkCounts::Precision() const {
  return Ratio(static_cast<double>(correct), static_cast<double>(found));
}

double ChunkCounts::Recall() const {
  return Ratio(static_cast<double>(correct), static_cast<double>(expected));
}

double ChunkCounts::F1() const {
  return Ratio(2 * static_cast<double>(correct),
               static_cast<double>(found + expected));
}

bool IsChunkLabel(absl::string_view label) {
  const ChunkLabel chunk = SplitChunkLabel(label);
  if (chunk.prefix == "O") return label == "O";
  return !chunk.type.empty() && (chunk.prefix == "B" || chunk.prefix == "I" ||
                                 chunk.prefix == "E" || chunk.prefix == "S");
}

}  // namespace lmserve
