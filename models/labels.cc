// SPDX-License-Identifier: Apache-2.0
#include "models/labels.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "models/printable_text.h"
#include "models/text.h"
#include "models/utf8.h"

namespace lmserve {
namespace {

absl::Status WrongLabel(size_t line, absl::string_view problem) {
  return absl::InvalidArgumentError(
      absl::StrCat("labels.txt: line ", line, ": ", problem));
}

absl::Status CheckLabel(absl::string_view label, size_t line) {
  if (label.empty()) {
    return WrongLabel(line, "expected a label, found an empty line");
  }
  if (label.size() > kMaxLabelSize) {
    return WrongLabel(
        line, absl::StrCat("expected a label of at most ", kMaxLabelSize,
                           " bytes, found ", label.size()));
  }
  if (FindInvalidUtf8(label) != absl::string_view::npos) {
    return WrongLabel(line, absl::StrCat("expected valid UTF-8, found '",
                                         Printable(label), "'"));
  }
  if (std::any_of(label.begin(), label.end(), IsSpace)) {
    return WrongLabel(line,
                      absl::StrCat("expected a label without white space, "
                                   "found '",
                                   Printable(label), "'"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ParseLabels(absl::string_view text) {
  std::vector<std::string> labels;
  absl::flat_hash_set<absl::string_view> seen;
  while (!text.empty()) {
    const size_t line = labels.size() + 1;
    const size_t end = text.find('\n');
    if (end == absl::string_view::npos) {
      return WrongLabel(line, "expected LF at the end of the line");
    }
    if (line > kMaxLabels) {
      return WrongLabel(
          line, absl::StrCat("expected at most ", kMaxLabels, " labels"));
    }
    const absl::string_view label = text.substr(0, end);
    absl::Status status = CheckLabel(label, line);
    if (!status.ok()) return status;
    if (!seen.insert(label).second) {
      return WrongLabel(
          line, absl::StrCat("duplicate label '", Printable(label), "'"));
    }
    labels.emplace_back(label);
    text.remove_prefix(end + 1);
  }
  if (labels.empty()) return WrongLabel(1, "expected a label, found none");
  return labels;
}

std::string FormatLabels(absl::Span<const std::string> labels) {
  return absl::StrCat(absl::StrJoin(labels, "\n"), "\n");
}

ChunkLabel SplitChunkLabel(absl::string_view label) {
  const size_t hyphen = label.find('-');
  if (hyphen == absl::string_view::npos) return {label, ""};
  return {label.substr(0, hyphen), label.substr(hyphen + 1)};
}

bool IsBioLabel(absl::string_view label) {
  const ChunkLabel chunk = SplitChunkLabel(label);
  if (chunk.prefix == "B" || chunk.prefix == "I") return !chunk.type.empty();
  return label == "O";
}

bool MayFollow(std::optional<absl::string_view> previous,
               absl::string_view label) {
  const ChunkLabel next = SplitChunkLabel(label);
  if (next.prefix != "I") return true;
  return previous.has_value() && *previous != "O" &&
         SplitChunkLabel(*previous).type == next.type;
}

}  // namespace lmserve
