// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_RERANKING_NAMED_NUMBERS_H_
#define LMSERVE_RERANKING_NAMED_NUMBERS_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace lmserve {

// Parses the weights of features, or the features of a candidate, as people
// write them in an argument: NAME=NUMBER, one or more in each text, separated
// by white space or commas. NAME may contain "=". INVALID_ARGUMENT if a part
// has another form, a number is not finite, a text has no part, or a name comes
// twice in all texts. Pure.
absl::StatusOr<std::map<std::string, double>> ParseNamedNumbers(
    absl::Span<const std::string> texts);

}  // namespace lmserve

#endif  // LMSERVE_RERANKING_NAMED_NUMBERS_H_
