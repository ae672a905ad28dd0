// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NGRAM_ARPA_FILE_H_
#define LMSERVE_TRAINER_NGRAM_ARPA_FILE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"

namespace lmserve {

// Writes an n-gram model of a store as an ARPA file, compressed as its name
// says (.gz, .xz, .bz2, .zst); "-" is the standard output. Fails with
// FAILED_PRECONDITION if the model is of another family or an ARPA file cannot
// express it.
absl::Status WriteArpaFile(const std::string& store, const std::string& name,
                           uint64_t version, const std::string& path);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NGRAM_ARPA_FILE_H_
