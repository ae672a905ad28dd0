// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_TEXT_ALIGNED_LINES_H_
#define LMSERVE_TRAINER_TEXT_ALIGNED_LINES_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace lmserve {

// Reads files whose lines belong together, such as references and translations
// of the same sentences. The element i of the result has line i of each file,
// without its line end and without sentence markers around it.
// INVALID_ARGUMENT, naming file and line, if a line is not valid UTF-8, and,
// naming both files, if one has another number of lines than the first.
absl::StatusOr<std::vector<std::vector<std::string>>> ReadAlignedLines(
    absl::Span<const std::string> files);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_TEXT_ALIGNED_LINES_H_
