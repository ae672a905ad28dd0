// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_FUZZ_CLIENT_ERROR_H_
#define LMSERVE_TESTS_FUZZ_CLIENT_ERROR_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "models/utf8.h"
#include "tests/fuzz/require.h"

namespace lmserve {

// Aborts unless the code of an error blames the client and its message is valid
// UTF-8.
inline void RequireClientError(const absl::Status& status) {
  Require(status.code() == absl::StatusCode::kInvalidArgument ||
              status.code() == absl::StatusCode::kNotFound ||
              status.code() == absl::StatusCode::kFailedPrecondition ||
              status.code() == absl::StatusCode::kResourceExhausted,
          "an error blames the client");
  const absl::string_view message = status.message();
  Require(
      !message.empty() && FindInvalidUtf8(message) == absl::string_view::npos,
      "an error message is valid UTF-8");
}

}  // namespace lmserve

#endif  // LMSERVE_TESTS_FUZZ_CLIENT_ERROR_H_
