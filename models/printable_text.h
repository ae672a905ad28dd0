// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_PRINTABLE_TEXT_H_
#define LMSERVE_MODELS_PRINTABLE_TEXT_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace lmserve {

// The most bytes of somebody else's name or text that a message quotes.
inline constexpr size_t kMaxQuotedBytes = 100;

// Returns bytes of any origin as text for messages, logs and terminals: valid
// UTF-8 on one line. Bytes that are not UTF-8 and characters that control a
// terminal, break a line or change the direction of text become \xNN. Of a text
// longer than `max_bytes`, REQUIRES at least 16, the middle is replaced by
// " ... ". A printable text that is short enough is returned as it is.
std::string Printable(absl::string_view bytes,
                      size_t max_bytes = kMaxQuotedBytes);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_PRINTABLE_TEXT_H_
