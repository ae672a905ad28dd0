// SPDX-License-Identifier: Apache-2.0
#include "trainer/tuning/nbest_lists.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "models/utf8.h"
#include "reranking/nbest_line.h"
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
  NbestCandidate candidate = {std::move(line.hypothesis), {}, line.total};
  for (const Feature& feature : line.features) {
    candidate.features.push_back(feature.value);
  }
  return candidate;
}

bool HaveNumericIds(const NbestLists& lists) {
  return std::all_of(lists.lists.begin(), lists.lists.end(),
                     [](const NbestList& list) {
                       int64_t number;
                       return absl::SimpleAtoi(list.id, &number);
                     });
}

}  // namespace

size_t NbestLists::candidates() const {
  size_t count = 0;
  for (const NbestList& list : lists) count += list.candidates.size();
  return count;
}

absl::StatusOr<NbestLists> ReadNbestLists(LineReader& lines) {
  NbestLists read;
  absl::flat_hash_map<std::string, size_t> by_id;
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
    const auto [found, is_new] = by_id.emplace(line->id, read.lists.size());
    if (is_new) read.lists.push_back({line->id, lines.line_number(), {}});
    read.lists[found->second].candidates.push_back(
        MakeCandidate(*std::move(line)));
  }
  if (!lines.status().ok()) return lines.status();
  if (!read.lists.empty()) return read;
  return absl::InvalidArgumentError(
      absl::StrCat(lines.name(), ": expected a candidate, found none"));
}

absl::StatusOr<std::vector<std::vector<std::string>>> ReadReferences(
    const NbestLists& lists, absl::Span<const std::string> files,
    int64_t first_id) {
  const absl::StatusOr<std::vector<std::vector<std::string>>> all =
      ReadAlignedLines(files);
  if (!all.ok()) return all.status();
  const bool by_number = HaveNumericIds(lists);
  if (!by_number && all->size() != lists.lists.size()) {
    return absl::InvalidArgumentError(absl::StrCat(
        files[0], ": expected a reference for each of ", lists.lists.size(),
        " lists, whose ids are not numbers, found ", all->size()));
  }
  std::vector<std::vector<std::string>> references;
  for (size_t i = 0; i < lists.lists.size(); ++i) {
    int64_t line = static_cast<int64_t>(i);
    if (by_number) {
      (void)absl::SimpleAtoi(lists.lists[i].id, &line);
      line -= first_id;
    }
    if (line < 0 || line >= static_cast<int64_t>(all->size())) {
      if (all->empty()) {
        return absl::InvalidArgumentError(
            absl::StrCat(files[0], ": expected a reference, found none"));
      }
      return absl::InvalidArgumentError(absl::StrCat(
          "id ", lists.lists[i].id, ": expected an id that has a reference, ",
          first_id, " to ", first_id + static_cast<int64_t>(all->size()) - 1));
    }
    references.push_back((*all)[line]);
  }
  return references;
}

}  // namespace lmserve
