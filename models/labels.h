// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_LABELS_H_
#define LMSERVE_MODELS_LABELS_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lmserve {

// The most labels of a model, because the time of a tagger grows with their
// square, and the longest label, in bytes.
inline constexpr size_t kMaxLabels = 1'024;
inline constexpr size_t kMaxLabelSize = 1'024;

// Parses the contents of labels.txt: one label per line, in the order of their
// numbers; every line ends with LF. Returns INVALID_ARGUMENT, naming the line,
// for an empty label, one of more than kMaxLabelSize bytes, white space in a
// label, invalid UTF-8, or a duplicate, and if there are no labels or more than
// kMaxLabels.
absl::StatusOr<std::vector<std::string>> ParseLabels(absl::string_view text);

// Returns the contents of labels.txt. REQUIRES: ParseLabels() accepts them.
std::string FormatLabels(absl::Span<const std::string> labels);

// A label of the form B-NP, I-NP or O, which marks the words of chunks. The
// prefix is what precedes the first hyphen; the type is what follows it, and
// empty if there is none.
struct ChunkLabel {
  absl::string_view prefix;
  absl::string_view type;
};
ChunkLabel SplitChunkLabel(absl::string_view label);

// The labels IOB2 of chunks (Ratnaparkhi 1998; Tjong Kim Sang and Veenstra
// 1999): B-X is the first word of a chunk of type X, I-X each next word of it,
// and O a word of no chunk. So I-X follows only B-X or I-X.

// Returns whether a label has one of these forms.
bool IsBioLabel(absl::string_view label);

// Returns whether `label` may follow `previous`, or may be the first of a
// sentence if there is none. REQUIRES: both are BIO labels.
bool MayFollow(std::optional<absl::string_view> previous,
               absl::string_view label);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_LABELS_H_
