// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_RERANKING_NBEST_LINE_H_
#define LMSERVE_RERANKING_NBEST_LINE_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lmserve {

// A named number that a decoder or a model gives a candidate.
struct Feature {
  std::string name;
  double value;

  bool operator==(const Feature& other) const = default;
};

// One line of an n-best list, as written by Moses and Marian:
//
//   ID ||| HYPOTHESIS ||| FEATURES ||| TOTAL ||| ALIGNMENT ...      Moses
//   ID ||| HYPOTHESIS ||| ALIGNMENT ... ||| FEATURES ||| TOTAL      Marian
//
// FEATURES are "Name= number ..." or, in old lists, "name: number ..." or
// numbers without names. A name with several numbers stands for the features
// "name[0]", "name[1]" and so on. TOTAL is the first field from the fourth on
// that is a single number; FEATURES is the field before it, or the third field
// if there is no total. ALIGNMENT has pairs such as 0-1, or numbers. A bar
// "|||" separates fields if white space or an end of the line is next to it.
struct NbestLine {
  std::string line;  // the unchanged line, without its line end
  std::string id;
  std::string hypothesis;  // may be empty
  std::vector<Feature> features;
  std::optional<double> total;

  // Offsets in `line` of the features and of where further ones are inserted,
  // and whether the line has a field for features.
  size_t features_begin;
  size_t features_end;
  bool has_features;
};

// Parses a line without its line end. INVALID_ARGUMENT if it has no hypothesis,
// if a feature is neither a name nor a finite number, if a feature comes twice,
// as after a careless second scoring, or if a field before the features is no
// alignment, as after a hypothesis with a bar. Pure.
absl::StatusOr<NbestLine> ParseNbestLine(absl::string_view line);

// Returns the line with further features. A feature of the same name that the
// line has is replaced. All other bytes stay the same.
// Numbers have enough digits to parse to the same float. Pure.
std::string WithFeatures(const NbestLine& line,
                         absl::Span<const Feature> features);

}  // namespace lmserve

#endif  // LMSERVE_RERANKING_NBEST_LINE_H_
