// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_NGRAM_FILES_MURMUR_HASH_H_
#define LMSERVE_NGRAM_FILES_MURMUR_HASH_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace lmserve {

// Returns MurmurHash64A of bytes with the seed 0 (Appleby 2008), by which KenLM
// knows words. Pure.
uint64_t MurmurHash64A(absl::string_view bytes);

}  // namespace lmserve

#endif  // LMSERVE_NGRAM_FILES_MURMUR_HASH_H_
