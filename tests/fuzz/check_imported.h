// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_FUZZ_CHECK_IMPORTED_H_
#define LMSERVE_TESTS_FUZZ_CHECK_IMPORTED_H_

#include "ngram_files/imported_ngrams.h"

namespace lmserve {

// Requires of a model that a reader has accepted that it can be built and
// loaded, returns log-probabilities, and is the same after it was written as an
// ARPA file and read again.
void CheckImported(ImportedNgrams imported);

}  // namespace lmserve

#endif  // LMSERVE_TESTS_FUZZ_CHECK_IMPORTED_H_
