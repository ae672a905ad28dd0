// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_EVALUATION_CHUNK_COUNTS_H_
#define LMSERVE_TRAINER_EVALUATION_CHUNK_COUNTS_H_

#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lmserve {

// Counts the chunks that two sequences of labels mark, by the definition of
// conlleval, the scoring program of the shared tasks CoNLL-2000 and later
// (Tjong Kim Sang and Buchholz 2000). Labels are O, or a prefix B, I, E or S, a
// hyphen and a type. A chunk begins at
//
//   B or S;
//   I or E, if the label before is O, E or S, or is of another type,
//
// and ends before the next label that begins a chunk or is O, and after E and
// S. So an I-X that follows O begins a chunk, too. A chunk is correct if both
// sequences have it, with the same first and last word and the same type.
struct ChunkCounts {
  uint64_t expected = 0;
  uint64_t found = 0;
  uint64_t correct = 0;

  // Adds a sentence. REQUIRES: both spans have the same size.
  void Add(absl::Span<const absl::string_view> expected_labels,
           absl::Span<const absl::string_view> found_labels);

  double Precision() const;  // 0 if nothing was found
  double Recall() const;     // 0 if nothing was expected
  double F1() const;         // the harmonic mean of both
};

// Returns whether a label can be one of chunks: O, or one of the prefixes with
// a type.
bool IsChunkLabel(absl::string_view label);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_EVALUATION_CHUNK_COUNTS_H_
