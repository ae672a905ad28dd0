// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_TESTING_SHARED_DATA_H_
#define LMSERVE_TESTS_TESTING_SHARED_DATA_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace lmserve {

// Returns the path of a file with real corpora or reference results, which are
// not part of the project. It is searched in $LMSERVE_SHARED or, if that is not
// set, in the folder shared/ beside the project. Returns "" if the file does
// not exist; then the test that needs it must be skipped.
std::string SharedFile(absl::string_view name);

// Returns the lines of a plain or compressed file that are not blank. Replaces
// <unk> in them by the ordinary word _UNK_.
std::vector<std::string> ReadSharedLines(const std::string& path);

}  // namespace lmserve

#endif  // LMSERVE_TESTS_TESTING_SHARED_DATA_H_
