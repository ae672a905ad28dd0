// SPDX-License-Identifier: Apache-2.0
#include "client/error_details.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/cord.h"
#include "absl/types/optional.h"
#include "google/rpc/error_details.pb.h"

namespace lmserve {
namespace {

// Parses a detail of the error. Returns nullopt if it has none of this type.
template <typename Detail>
std::optional<Detail> Find(const absl::Status& status) {
  const absl::optional<absl::Cord> payload = status.GetPayload(
      "type.googleapis.com/" + Detail::descriptor()->full_name());
  Detail detail;
  if (!payload.has_value() || !detail.ParseFromString(std::string(*payload))) {
    return std::nullopt;
  }
  return detail;
}

}  // namespace

std::optional<std::chrono::milliseconds> RetryDelay(
    const absl::Status& status) {
  const auto info = Find<google::rpc::RetryInfo>(status);
  if (!info.has_value()) return std::nullopt;
  // A server may send any number.
  constexpr int64_t kYear = 365 * 24 * 3600;
  const int64_t seconds =
      std::clamp<int64_t>(info->retry_delay().seconds(), 0, kYear);
  return std::chrono::seconds(seconds) +
         std::chrono::milliseconds(std::max(info->retry_delay().nanos(), 0) /
                                   1'000'000);
}

absl::Status WithMessage(const absl::Status& status,
                         absl::string_view message) {
  absl::Status result(status.code(), message);
  status.ForEachPayload([&](absl::string_view type, const absl::Cord& value) {
    result.SetPayload(type, value);
  });
  return result;
}

std::string WrongField(const absl::Status& status) {
  const auto request = Find<google::rpc::BadRequest>(status);
  if (!request.has_value() || request->field_violations().empty()) return "";
  return request->field_violations(0).field();
}

}  // namespace lmserve
