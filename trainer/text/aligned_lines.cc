// SPDX-License-Identifier: Apache-2.0
#include "trainer/text/aligned_lines.h"

#include <memory>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "models/utf8.h"
#include "text_io/line_reader.h"
#include "text_io/sentence_markers.h"

namespace lmserve {
namespace {

// Calls visit(line) for each line of a file. Returns the number of lines.
template <typename Visit>
absl::StatusOr<size_t> VisitLines(const std::string& file, const Visit& visit) {
  absl::StatusOr<std::unique_ptr<LineReader>> reader = LineReader::Open(file);
  if (!reader.ok()) return reader.status();
  size_t count = 0;
  for (absl::string_view line; (*reader)->Next(&line); ++count) {
    if (FindInvalidUtf8(line) != absl::string_view::npos) {
      return LineError(**reader, "invalid UTF-8");
    }
    visit(count, WithoutSentenceMarkers(absl::StripSuffix(line, "\r")));
  }
  if (!(*reader)->status().ok()) return (*reader)->status();
  return count;
}

}  // namespace

absl::StatusOr<std::vector<std::vector<std::string>>> ReadAlignedLines(
    absl::Span<const std::string> files) {
  std::vector<std::vector<std::string>> aligned;
  for (const std::string& file : files) {
    const bool is_first = &file == &files[0];
    const absl::StatusOr<size_t> count =
        VisitLines(file, [&](size_t i, absl::string_view line) {
          if (is_first) aligned.emplace_back();
          if (i < aligned.size()) aligned[i].emplace_back(line);
        });
    if (!count.ok()) return count.status();
    if (*count == aligned.size()) continue;
    return absl::InvalidArgumentError(
        absl::StrCat(file, ": expected ", aligned.size(), " lines, as in ",
                     files[0], ", found ", *count));
  }
  return aligned;
}

}  // namespace lmserve
