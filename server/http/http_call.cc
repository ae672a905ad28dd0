// SPDX-License-Identifier: Apache-2.0
#include "server/http/http_call.h"

#include <chrono>
#include <cstdint>
#include <random>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/http/http_error.h"

namespace lmserve {
namespace {

// Longer times are no limit.
constexpr std::chrono::hours kMaxTimeout{24 * 365};

// The units of gRPC's specification of its protocol.
bool NanosecondsOf(char unit, int64_t* nanoseconds) {
  switch (unit) {
    case 'H':
      *nanoseconds = 3'600'000'000'000;
      return true;
    case 'M':
      *nanoseconds = 60'000'000'000;
      return true;
    case 'S':
      *nanoseconds = 1'000'000'000;
      return true;
    case 'm':
      *nanoseconds = 1'000'000;
      return true;
    case 'u':
      *nanoseconds = 1'000;
      return true;
    case 'n':
      *nanoseconds = 1;
      return true;
    default:
      return false;
  }
}

Call::Clock::time_point DeadlineOf(absl::string_view timeout) {
  const auto time = HttpCall::ParseTimeout(timeout);
  return time == Call::Clock::duration::max() ? Call::Clock::time_point::max()
                                              : Call::Clock::now() + time;
}

std::string NewRequestId() {
  thread_local std::mt19937_64 random{std::random_device()()};
  return absl::StrCat(absl::Hex(random(), absl::kZeroPad16));
}

}  // namespace

HttpCall::HttpCall(HttpStream& stream, Priority priority)
    : TransportCall(
          ParsePriority(stream.request().Field("lm-priority"), priority),
          DeadlineOf(stream.request().Field("grpc-timeout"))),
      stream_(stream),
      own_request_id_(IsRequestId(stream.request().Field(kRequestIdHeader))
                          ? ""
                          : NewRequestId()) {
  if (deadline() != Clock::time_point::max()) stream.SetDeadline(deadline());
}

absl::string_view HttpCall::Header(absl::string_view name) const {
  if (name == kRequestIdHeader && !own_request_id_.empty()) {
    return own_request_id_;
  }
  return stream_.request().Field(name);
}

std::string HttpCall::JoinedHeader(absl::string_view name) const {
  std::string joined;
  bool is_first = true;
  for (const HttpField& field : stream_.request().fields) {
    if (field.name != name) continue;
    if (!is_first) joined += ',';
    joined += field.value;
    is_first = false;
  }
  return joined;
}

TransportCall::HttpRequestLine HttpCall::http_request_line(
    const absl::Status& status) const {
  const HttpRequest& request = stream_.request();
  return {.method = request.method,
          .path = request.path,
          .code = status.ok() ? 200 : HttpCodeOf(status)};
}

Call::Clock::duration HttpCall::ParseTimeout(absl::string_view text) {
  constexpr size_t kMaxDigits = 8;
  int64_t unit, count;
  if (text.size() < 2 || text.size() > kMaxDigits + 1 ||
      !NanosecondsOf(text.back(), &unit)) {
    return Clock::duration::max();
  }
  text.remove_suffix(1);
  if (text.find_first_not_of("0123456789") != text.npos ||
      !absl::SimpleAtoi(text, &count) ||
      count > std::chrono::nanoseconds(kMaxTimeout).count() / unit) {
    return Clock::duration::max();
  }
  return std::chrono::nanoseconds(count * unit);
}

}  // namespace lmserve
