// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_QUOTED_H_
#define LMSERVE_MODELS_QUOTED_H_

#include <string>

#include "absl/strings/string_view.h"

namespace lmserve {

// Returns bytes of a file for a message: in single quotes, cut after 80 bytes,
// with all bytes escaped that are not printable or not valid UTF-8. Pure.
std::string Quoted(absl::string_view bytes);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_QUOTED_H_
