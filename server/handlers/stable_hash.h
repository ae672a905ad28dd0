// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HANDLERS_STABLE_HASH_H_
#define LMSERVE_SERVER_HANDLERS_STABLE_HASH_H_

#include <cstdint>

#include "absl/strings/string_view.h"

namespace lmserve {

// Returns a hash of the bytes: FNV-1a, eight bytes at a time, mixed at the end.
// Equal bytes have equal hashes on every machine of the same byte order and in
// every run, so clients may store them.
uint64_t StableHash(absl::string_view bytes);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HANDLERS_STABLE_HASH_H_
