// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_TESTING_STATUS_TEXT_H_
#define LMSERVE_TESTS_TESTING_STATUS_TEXT_H_

#include <string>

#include "absl/status/status.h"

namespace lmserve {

// Returns "CODE: MESSAGE", without the details for programs.
inline std::string TextOf(const absl::Status& status) {
  return status.ToString(absl::StatusToStringMode::kWithNoExtraData);
}

}  // namespace lmserve

#endif  // LMSERVE_TESTS_TESTING_STATUS_TEXT_H_
