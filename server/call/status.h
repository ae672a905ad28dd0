#ifndef LMSERVE_SERVER_CALL_STATUS_H_
#define LMSERVE_SERVER_CALL_STATUS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "grpcpp/support/status.h"
#include "model_store/loaded_version.h"

namespace lmserve {

// The one way from our errors to those on the wire: same code, same message,
// unless it is very long, same details.
grpc::Status ToGrpcStatus(const absl::Status& status);

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

// FAILED_PRECONDITION "FIELD: 'MODEL' is of this kind: it cannot WHAT; it ...",
// which tells what it can.
absl::Status CannotDo(absl::string_view field, const LoadedVersion& model,
                      absl::string_view what);

// OK up to the limit, else RESOURCE_EXHAUSTED "FIELD: COUNT, the limit is
// LIMIT".
absl::Status CheckLimit(absl::string_view field, uint64_t count,
                        uint64_t limit);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_CALL_STATUS_H_
