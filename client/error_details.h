// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_CLIENT_ERROR_DETAILS_H_
#define LMSERVE_CLIENT_ERROR_DETAILS_H_

#include <chrono>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

// What an error of the server says besides its code and message. Pure
// functions.
namespace lmserve {

// Returns after how long, from 0 to a year, the same call may succeed, if the
// server was too busy for it; nullopt for any other error.
std::optional<std::chrono::milliseconds> RetryDelay(const absl::Status& status);

// Returns the same error, with the same details and another message.
absl::Status WithMessage(const absl::Status& status, absl::string_view message);

// Returns the field of the request that is wrong, such as "texts[2]", or an
// empty string if the error is about none.
std::string WrongField(const absl::Status& status);

}  // namespace lmserve

#endif  // LMSERVE_CLIENT_ERROR_DETAILS_H_
