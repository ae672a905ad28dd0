// SPDX-License-Identifier: Apache-2.0
#include "server/transport/transport_call.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/telemetry/trace_context.h"

namespace lmserve {
namespace {

constexpr size_t kMaxIdBytes = 128;

bool IsVisible(absl::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c > ' ' && c <= '~'; });
}

}  // namespace

bool IsRequestId(absl::string_view id) {
  return !id.empty() && id.size() <= kMaxIdBytes && IsVisible(id);
}

std::string GroupOfClient(absl::string_view address) {
  absl::string_view ip = address;
  in6_addr bytes;
  if (!absl::ConsumePrefix(&ip, "ipv6:[") || !absl::ConsumeSuffix(&ip, "]") ||
      inet_pton(AF_INET6, std::string(ip).c_str(), &bytes) != 1) {
    return std::string(address);
  }
  return absl::StrCat(
      "ipv6/64:",
      absl::string_view(reinterpret_cast<const char*>(bytes.s6_addr), 8));
}

const std::string& TransportCall::client_group() const {
  if (!client_group_.has_value()) client_group_ = GroupOfClient(client());
  return *client_group_;
}

absl::string_view TransportCall::request_id() const {
  const absl::string_view id = Header(kRequestIdHeader);
  return IsRequestId(id) ? id : "";
}

absl::string_view TransportCall::trace_parent() const {
  const absl::string_view parent = Header(kTraceParentHeader);
  return ParseTraceParent(parent).has_value() ? parent : "";
}

}  // namespace lmserve
