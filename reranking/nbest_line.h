#ifndef LMSERVE_RERANKING_NBEST_LINE_H_
#define LMSERVE_RERANKING_NBEST_LINE_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lmserve {

// A number that a candidate has from its decoder or from a model.
struct Feature {
  std::string name;
  double value;

  bool operator==(const Feature& other) const = default;
};

// Parses "NAME=NUMBER" of a command line. NAME may contain "=". Fails with
// INVALID_ARGUMENT.
absl::StatusOr<Feature> ParseFeature(absl::string_view text);

// A line of an n-best list as Moses and Marian write them:
//
//   ID ||| HYPOTHESIS ||| FEATURES ||| TOTAL ||| ALIGNMENT ...      Moses
//   ID ||| HYPOTHESIS ||| ALIGNMENT ... ||| FEATURES ||| TOTAL      Marian
//
// FEATURES are "Name= number ...", or, as in old lists, "name: number ..." or
// numbers alone; a name of several numbers stands for the features "name[0]",
// "name[1]" and so on. They stand before the total, the first field after them
// that is a number and nothing else; where there is no total they are the third
// field. A bar "|||" parts fields where white space or an end of the line is
// beside it.
struct NbestLine {
  std::string line;  // as it was, without its end
  std::string id;
  std::string hypothesis;  // may be empty
  std::vector<Feature> features;
  std::optional<double> total;

  // Where more features belong in the line, and whether they make a field of
  // their own.
  size_t features_end;
  bool has_features;
};

// Takes a line apart, without its end. INVALID_ARGUMENT where it has no
// hypothesis, or what stands for a feature is no name and no finite number.
absl::StatusOr<NbestLine> ParseNbestLine(absl::string_view line);

// The line with more features, all else in it byte for byte. Numbers are
// written so that the same float comes back.
std::string WithFeatures(const NbestLine& line,
                         absl::Span<const Feature> features);

}  // namespace lmserve

#endif  // LMSERVE_RERANKING_NBEST_LINE_H_
