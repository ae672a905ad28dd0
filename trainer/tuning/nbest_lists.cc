// SPDX-License-Identifier: Apache-2.0
#include "trainer/tuning/nbest_lists.h"

#include <memory>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "models/quoted.h"
#include "models/utf8.h"
#include "reranking/nbest_line.h"
#include "text_io/sentence_markers.h"
#include "trainer/text/aligned_lines.h"

namespace lmserve {
namespace {

std::vector<std::string> Names(absl::Span<const Feature> features) {
  std::vector<std::string> names;
  for (const Feature& feature : features) names.push_back(feature.name);
  return names;
}

std::string JoinNames(absl::Span<const std::string> names) {
  return names.empty() ? "none" : absl::StrJoin(names, " ");
}

absl::Status CheckNames(absl::Span<const std::string> expected,
                        absl::Span<const std::string> found) {
  if (expected == found) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("features: expected ", JoinNames(expected),
                   ", as the first candidate has, found ", JoinNames(found)));
}

NbestCandidate MakeCandidate(NbestLine line) {
  NbestCandidate candidate = {
      std::string(WithoutSentenceMarkers(line.hypothesis)), {}, line.total};
  for (const Feature& feature : line.features) {
    candidate.features.push_back(feature.value);
  }
  return candidate;
}

// Returns the ids as numbers, or nothing if not all of them are numbers.
std::optional<std::vector<uint64_t>> NumericIds(const NbestLists& lists) {
  std::vector<uint64_t> ids;
  for (const NbestList& list : lists.lists) {
    if (!absl::SimpleAtoi(list.id, &ids.emplace_back())) return std::nullopt;
  }
  return ids;
}

absl::Status IdError(const NbestLists& lists, const NbestList& list,
                     absl::string_view problem) {
  return absl::InvalidArgumentError(
      absl::StrCat(lists.name, " line ", list.line, ": id: ", problem));
}

}  // namespace

size_t NbestLists::candidates() const {
  size_t count = 0;
  for (const NbestList& list : lists) count += list.candidates.size();
  return count;
}

absl::StatusOr<NbestLists> ReadNbestLists(LineReader& lines) {
  NbestLists read;
  read.name = lines.name();
  absl::flat_hash_map<std::string, uint64_t> last_lines;  // of each id
  for (absl::string_view text; lines.Next(&text);) {
    absl::ConsumeSuffix(&text, "\r");
    if (absl::StripAsciiWhitespace(text).empty()) continue;
    if (FindInvalidUtf8(text) != absl::string_view::npos) {
      return LineError(lines, "invalid UTF-8");
    }
    absl::StatusOr<NbestLine> line = ParseNbestLine(text);
    if (!line.ok()) return LineError(lines, line.status().message());
    std::vector<std::string> names = Names(line->features);
    if (read.lists.empty()) read.feature_names = names;
    if (absl::Status status = CheckNames(read.feature_names, names);
        !status.ok()) {
      return LineError(lines, status.message());
    }
    if (read.lists.empty() || read.lists.back().id != line->id) {
      if (const auto found = last_lines.find(line->id);
          found != last_lines.end()) {
        return LineError(
            lines, absl::StrCat("id: expected ", Quoted(read.lists.back().id),
                                " or a new id, found ", Quoted(line->id),
                                ", whose list ended in line ", found->second,
                                "; the lines of a list must be consecutive"));
      }
      read.lists.push_back({line->id, lines.line_number(), {}});
    }
    last_lines[line->id] = lines.line_number();
    read.lists.back().candidates.push_back(MakeCandidate(*std::move(line)));
  }
  if (!lines.status().ok()) return lines.status();
  if (!read.lists.empty()) return read;
  return absl::InvalidArgumentError(
      absl::StrCat(lines.name(), ": expected a candidate, found none"));
}

absl::StatusOr<std::vector<std::vector<std::string>>> ReadReferences(
    const NbestLists& lists, absl::Span<const std::string> files,
    std::optional<uint64_t> first_id) {
  const absl::StatusOr<std::vector<std::vector<std::string>>> all =
      ReadAlignedLines(files);
  if (!all.ok()) return all.status();
  if (all->empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(files[0], ": expected a reference, found none"));
  }
  const std::optional<std::vector<uint64_t>> ids = NumericIds(lists);
  if (!ids && all->size() != lists.lists.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        files[0], ": expected a reference for each of ", lists.lists.size(),
        " lists, whose ids are not numbers, found ", all->size()));
  }
  if (ids && !first_id && ids->front() != 0) {
    return IdError(
        lists, lists.lists[0],
        absl::StrCat(
            "expected 0 as the first id with --reference, found ", ids->front(),
            "; --first-id says which id belongs to the first line of "
            "--reference, such as 1, or 0 if the lists do not start with its "
            "first sentence"));
  }
  std::vector<std::vector<std::string>> references;
  for (size_t i = 0; i < lists.lists.size(); ++i) {
    const uint64_t first = first_id.value_or(0);
    const uint64_t line = ids ? (*ids)[i] - first : i;
    if (line >= all->size()) {  // also if the id is less than the first one
      return IdError(
          lists, lists.lists[i],
          absl::StrCat("expected the number of a line of --reference, from ",
                       first, " to ", first + all->size() - 1, ", found ",
                       Quoted(lists.lists[i].id)));
    }
    references.push_back((*all)[line]);
  }
  return references;
}

}  // namespace lmserve
