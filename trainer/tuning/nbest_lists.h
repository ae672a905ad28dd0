// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_TUNING_NBEST_LISTS_H_
#define LMSERVE_TRAINER_TUNING_NBEST_LISTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "text_io/line_reader.h"

namespace lmserve {

struct NbestCandidate {
  std::string text;
  std::vector<double> features;  // one per name in NbestLists::feature_names
  std::optional<double> total;
};

// The candidates for one sentence, in the order of the file; at least one.
struct NbestList {
  std::string id;
  uint64_t line;  // of the first candidate in the file, from 1
  std::vector<NbestCandidate> candidates;
};

// The n-best lists of a file.
struct NbestLists {
  std::vector<std::string> feature_names;
  std::vector<NbestList> lists;  // in the order of the file
  std::string name = {};         // of the file, for messages

  // The number of candidates of all lists.
  size_t candidates() const;
};

// Reads n-best lists in the format of Moses or Marian (reranking/nbest_line.h).
// Lines end with LF or CR LF; blank lines are ignored, and so are sentence
// markers around a hypothesis. Fails with
// INVALID_ARGUMENT if a line is malformed, has other features than the first
// one or the id of a list that has ended (the message has the line number), and
// if there is no candidate.
absl::StatusOr<NbestLists> ReadNbestLists(LineReader& lines);

// Reads the references of each list, one per file. The references of the list
// ID are the lines ID - first_id, counted from 0. If not all ids are numbers,
// line i belongs to list i. Fails with INVALID_ARGUMENT if an id has no line,
// the files have different numbers of lines, or the first id is a number other
// than 0 and `first_id` is not given: the lines could be off by one. REQUIRES:
// there is a list.
absl::StatusOr<std::vector<std::vector<std::string>>> ReadReferences(
    const NbestLists& lists, absl::Span<const std::string> files,
    std::optional<uint64_t> first_id = std::nullopt);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_TUNING_NBEST_LISTS_H_
