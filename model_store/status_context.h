// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODEL_STORE_STATUS_CONTEXT_H_
#define LMSERVE_MODEL_STORE_STATUS_CONTEXT_H_

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// Returns an error with "CONTEXT: " before its message, such as the name of the
// file that it concerns.
inline absl::Status WithContext(absl::string_view context,
                                const absl::Status& status) {
  return absl::Status(status.code(),
                      absl::StrCat(context, ": ", status.message()));
}

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_STATUS_CONTEXT_H_
