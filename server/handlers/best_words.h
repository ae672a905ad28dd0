// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HANDLERS_BEST_WORDS_H_
#define LMSERVE_SERVER_HANDLERS_BEST_WORDS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/call/status.h"

namespace lmserve {

// How many best words a request gets if it does not say how many it wants.
inline constexpr uint32_t kDefaultBestWords = 10;

// Returns INVALID_ARGUMENT, naming `field`, if a vocabulary of this many words
// does not have k best words.
inline absl::Status CheckBestWords(absl::string_view field, uint64_t k,
                                   uint64_t vocabulary) {
  if (k <= vocabulary) return absl::OkStatus();
  return InvalidField(field,
                      absl::StrCat("expected 1 to ", vocabulary,
                                   ", the size of the vocabulary, found ", k));
}

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HANDLERS_BEST_WORDS_H_
