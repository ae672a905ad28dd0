#ifndef LMSERVE_TESTS_FUZZ_CONSISTENCY_H_
#define LMSERVE_TESTS_FUZZ_CONSISTENCY_H_

#include "models/ngram/ngram_file.h"

namespace lmserve {

// Whether a file that NgramFile::Parse() accepts is also right in what it does
// not check, for it costs too much: no context has a word twice, the slots find
// every child, and every link is the longest suffix that is a context. A file
// that is not must do no harm, but may give different answers to the same
// question. Slow, and plain.
bool IsConsistent(const NgramFile& file);

}  // namespace lmserve

#endif  // LMSERVE_TESTS_FUZZ_CONSISTENCY_H_
