// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_CALL_STATUS_H_
#define LMSERVE_SERVER_CALL_STATUS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace lmserve {

// Returns the same error, with the same payloads and `prefix` before its
// message.
absl::Status Prefixed(absl::string_view prefix, const absl::Status& status);

// Returns UNAVAILABLE, for calls that begin during the shutdown, or that have
// not ended by its deadline. Clients may try another server.
absl::Status ShuttingDown();

// Whether the same call may succeed later: the error has a RetryInfo.
bool MayRetry(const absl::Status& status);

// Returns RESOURCE_EXHAUSTED with a google.rpc.RetryInfo, which asks the client
// to wait for `wait` before it retries.
absl::Status ResourceExhausted(absl::string_view message, absl::Duration wait);

// Returns after how long the same call may succeed, or zero if the error has no
// RetryInfo.
absl::Duration RetryAfter(const absl::Status& status);

// Returns INVALID_ARGUMENT "FIELD: PROBLEM" with a google.rpc.BadRequest, which
// names the field for programs.
absl::Status InvalidField(absl::string_view field, absl::string_view problem);

// Returns the field that an error names in a google.rpc.BadRequest, or an empty
// string.
std::string FieldOf(const absl::Status& status);

// Returns OK if `count` is at most `limit`, otherwise RESOURCE_EXHAUSTED
// "FIELD: expected at most LIMIT, found COUNT" with a google.rpc.BadRequest.
absl::Status CheckLimit(absl::string_view field, uint64_t count,
                        uint64_t limit);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_CALL_STATUS_H_
