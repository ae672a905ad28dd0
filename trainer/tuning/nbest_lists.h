#ifndef LMSERVE_TRAINER_TUNING_NBEST_LISTS_H_
#define LMSERVE_TRAINER_TUNING_NBEST_LISTS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "trainer/text/line_reader.h"

namespace lmserve {

struct NbestCandidate {
  std::string text;
  std::vector<double> features;  // as many as there are names
  std::optional<double> total;
};

// The candidates for one sentence, in the order of the file; at least one.
struct NbestList {
  std::string id;
  uint64_t line;  // of the first, from 1
  std::vector<NbestCandidate> candidates;
};

// An n-best list in memory.
struct NbestLists {
  std::vector<std::string> feature_names;
  std::vector<NbestList> lists;  // in the order in which ids come first

  size_t candidates() const;
};

// Reads a list as Moses or Marian write it (reranking/nbest_line.h), its lines
// ended by LF or CR LF; blank lines are passed over. The lines of an id need
// not stand together. Fails, naming the line, where one is no candidate, or has
// not the features of the first, and where there is none.
absl::StatusOr<NbestLists> ReadNbestLists(LineReader& lines);

// The references of each list: line ID - first_id of each file, or, where an id
// is no number, the lines in the order of the lists. Fails, naming the id,
// where there is no such line, and, naming the file, where one has more lines
// than another.
absl::StatusOr<std::vector<std::vector<std::string>>> ReadReferences(
    const NbestLists& lists, absl::Span<const std::string> files,
    int64_t first_id);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_TUNING_NBEST_LISTS_H_
