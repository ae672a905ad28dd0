// SPDX-License-Identifier: Apache-2.0
#include "server/call/status.h"

#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"

namespace lmserve {
namespace {

constexpr char kRetryInfo[] = "type.googleapis.com/google.rpc.RetryInfo";

}  // namespace

bool MayRetry(const absl::Status& status) {
  return status.GetPayload(kRetryInfo).has_value();
}

absl::Status ResourceExhausted(absl::string_view message, absl::Duration wait) {
  google::rpc::RetryInfo info;
  const timespec delay = absl::ToTimespec(wait);
  info.mutable_retry_delay()->set_seconds(delay.tv_sec);
  info.mutable_retry_delay()->set_nanos(static_cast<int32_t>(delay.tv_nsec));
  absl::Status status = absl::ResourceExhaustedError(message);
  status.SetPayload(kRetryInfo, absl::Cord(info.SerializeAsString()));
  return status;
}

absl::Status Prefixed(absl::string_view prefix, const absl::Status& status) {
  absl::Status prefixed(status.code(), absl::StrCat(prefix, status.message()));
  status.ForEachPayload([&](absl::string_view type, const absl::Cord& value) {
    prefixed.SetPayload(type, value);
  });
  return prefixed;
}

absl::Status ShuttingDown() {
  return absl::UnavailableError("the server is shutting down");
}

absl::Status InvalidField(absl::string_view field, absl::string_view problem) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", problem));
}

absl::Status CheckLimit(absl::string_view field, uint64_t count,
                        uint64_t limit) {
  if (count <= limit) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat(field, ": expected at most ", limit, ", found ", count));
}

}  // namespace lmserve
