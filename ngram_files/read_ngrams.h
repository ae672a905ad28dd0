// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_NGRAM_FILES_READ_NGRAMS_H_
#define LMSERVE_NGRAM_FILES_READ_NGRAMS_H_

#include <string>

#include "absl/status/statusor.h"
#include "ngram_files/imported_ngrams.h"

namespace lmserve {

// Reads an n-gram model that another program made: an ARPA file, plain or
// compressed (ReadArpa()), or a binary file of KenLM (ReadKenlm()), whatever
// its name. `literal`: see ArpaOptions. Fails with NOT_FOUND if the file does
// not exist, and as these functions do. Thread-safe.
absl::StatusOr<ImportedNgrams> ReadNgrams(const std::string& path,
                                          bool literal = false);

}  // namespace lmserve

#endif  // LMSERVE_NGRAM_FILES_READ_NGRAMS_H_
