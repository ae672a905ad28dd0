#ifndef LMSERVE_SERVER_CALL_STATUS_H_
#define LMSERVE_SERVER_CALL_STATUS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace lmserve {

// The same error with words before its message.
absl::Status Prefixed(absl::string_view prefix, const absl::Status& status);

// UNAVAILABLE: the call came too late. Clients may try another server.
absl::Status ShuttingDown();

// Whether the error says that the same call may succeed in a while.
bool MayRetry(const absl::Status& status);

// RESOURCE_EXHAUSTED, with a google.rpc.RetryInfo: how long to wait before
// trying again.
absl::Status ResourceExhausted(absl::string_view message, absl::Duration wait);

// INVALID_ARGUMENT "FIELD: PROBLEM".
absl::Status InvalidField(absl::string_view field, absl::string_view problem);

// OK up to the limit, else RESOURCE_EXHAUSTED "FIELD: COUNT, the limit is
// LIMIT".
absl::Status CheckLimit(absl::string_view field, uint64_t count,
                        uint64_t limit);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_CALL_STATUS_H_
