// SPDX-License-Identifier: Apache-2.0
#include "server/call/status.h"

#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/types/optional.h"
#include "google/rpc/error_details.pb.h"

namespace lmserve {
namespace {

constexpr char kRetryInfo[] = "type.googleapis.com/google.rpc.RetryInfo";
constexpr char kBadRequest[] = "type.googleapis.com/google.rpc.BadRequest";

// Longer names, which contain text of the client, are only in the message. gRPC
// clients accept 8 KiB of metadata by default.
constexpr size_t kMaxFieldBytes = 256;

absl::Status FieldError(absl::StatusCode code, absl::string_view field,
                        absl::string_view problem) {
  absl::Status status(code, absl::StrCat(field, ": ", problem));
  if (field.size() > kMaxFieldBytes) return status;
  google::rpc::BadRequest details;
  details.add_field_violations()->set_field(std::string(field));
  status.SetPayload(kBadRequest, absl::Cord(details.SerializeAsString()));
  return status;
}

}  // namespace

bool MayRetry(const absl::Status& status) {
  return status.GetPayload(kRetryInfo).has_value();
}

absl::Duration RetryAfter(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kRetryInfo);
  google::rpc::RetryInfo info;
  if (!payload.has_value() || !info.ParseFromString(std::string(*payload))) {
    return absl::ZeroDuration();
  }
  return absl::Seconds(info.retry_delay().seconds()) +
         absl::Nanoseconds(info.retry_delay().nanos());
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
  return absl::UnavailableError("the server is shutting down; ask again");
}

absl::Status InvalidField(absl::string_view field, absl::string_view problem) {
  return FieldError(absl::StatusCode::kInvalidArgument, field, problem);
}

std::string FieldOf(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(kBadRequest);
  google::rpc::BadRequest details;
  if (!payload.has_value() || !details.ParseFromString(std::string(*payload)) ||
      details.field_violations().empty()) {
    return "";
  }
  return details.field_violations(0).field();
}

absl::Status CheckLimit(absl::string_view field, uint64_t count,
                        uint64_t limit) {
  if (count <= limit) return absl::OkStatus();
  return FieldError(
      absl::StatusCode::kResourceExhausted, field,
      absl::StrCat("expected at most ", limit, ", found ", count));
}

}  // namespace lmserve
