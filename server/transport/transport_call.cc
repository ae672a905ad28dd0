// SPDX-License-Identifier: Apache-2.0
#include "server/transport/transport_call.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace lmserve {
namespace {

constexpr size_t kMaxIdBytes = 128;

// The bytes of a traceparent of version 00: version, trace, parent and flags in
// lower-case hexadecimal digits, with hyphens between them.
constexpr absl::string_view kTraceParentForm =
    "00-00000000000000000000000000000000-0000000000000000-00";

bool IsVisible(absl::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c > ' ' && c <= '~'; });
}

bool HasTraceParentForm(absl::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool is_hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
    if (kTraceParentForm[i] == '-' ? c != '-' : !is_hex) return false;
  }
  return true;
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
  const size_t size = kTraceParentForm.size();
  if (parent.size() < size || parent.size() > kMaxIdBytes ||
      !HasTraceParentForm(parent.substr(0, size)) || !IsVisible(parent)) {
    return "";
  }
  // Later versions may have more parts.
  const absl::string_view version = parent.substr(0, 2);
  const bool has_more = parent.size() > size;
  if (version == "ff" ||
      (has_more && (version == "00" || parent[size] != '-'))) {
    return "";
  }
  constexpr char kDigits[] = "123456789abcdef";
  const auto is_zero = [&](size_t begin, size_t digits) {
    return parent.substr(begin, digits).find_first_of(kDigits) ==
           absl::string_view::npos;
  };
  return is_zero(3, 32) || is_zero(36, 16) ? "" : parent;
}

}  // namespace lmserve
