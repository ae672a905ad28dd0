#ifndef LMSERVE_TESTS_TESTING_SHARED_DATA_H_
#define LMSERVE_TESTS_TESTING_SHARED_DATA_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace lmserve {

// Real corpora and reference results, which are no part of the project: a file
// in $LMSERVE_SHARED, or else in the folder shared/ beside the project. Empty
// where it is not there; the test that needs it skips then.
std::string SharedFile(absl::string_view name);

// The lines of a file, plain or compressed, that are not blank; the word <unk>
// in them is written _UNK_, an ordinary word.
std::vector<std::string> ReadSharedLines(const std::string& path);

}  // namespace lmserve

#endif  // LMSERVE_TESTS_TESTING_SHARED_DATA_H_
