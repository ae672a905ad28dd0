// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_FUZZ_CONSISTENCY_H_
#define LMSERVE_TESTS_FUZZ_CONSISTENCY_H_

#include "models/ngram/fast/ngram_file.h"

namespace lmserve {

// Checks rules that NgramFile::Parse() does not check because that would take
// too long: no context has a word twice, the slots find every child, and every
// link is the longest suffix that is a context. A file that violates them must
// not cause undefined behavior, but may answer the same query in different
// ways. This check is simple and slow.
bool IsConsistent(const NgramFile& file);

}  // namespace lmserve

#endif  // LMSERVE_TESTS_FUZZ_CONSISTENCY_H_
