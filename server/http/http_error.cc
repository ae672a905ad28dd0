// SPDX-License-Identifier: Apache-2.0
#include "server/http/http_error.h"

#include <google/protobuf/util/json_util.h>

#include <nlohmann/json.hpp>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "google/rpc/error_details.pb.h"
#include "models/printable_text.h"
#include "server/call/status.h"

namespace lmserve {
namespace {

using nlohmann::ordered_json;

constexpr size_t kMaxErrorBytes = 8 << 10;

// The name of google.rpc.Code that is closest to an error of HTTP itself.
absl::string_view NameOf(int code) {
  switch (code) {
    case 403:
      return "PERMISSION_DENIED";
    case 404:
      return "NOT_FOUND";
    case 408:
      return "DEADLINE_EXCEEDED";
    case 413:
    case 431:
      return "RESOURCE_EXHAUSTED";
    case 405:
    case 505:
      return "UNIMPLEMENTED";
    default:
      return "INVALID_ARGUMENT";
  }
}

std::string Dump(const ordered_json& json) {
  return json.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

ordered_json Details(const absl::Status& error) {
  google::rpc::Status status;
  error.ForEachPayload([&](absl::string_view type, const absl::Cord& value) {
    google::protobuf::Any* detail = status.add_details();
    detail->set_type_url(std::string(type));
    detail->set_value(std::string(value));
  });
  std::string text;
  if (status.details().empty() ||
      !google::protobuf::util::MessageToJsonString(status, &text).ok()) {
    return nullptr;
  }
  const auto json = ordered_json::parse(text, nullptr, false);
  const auto details = json.find("details");
  return details == json.end() ? nullptr : *details;
}

std::string Error(int code, absl::string_view name, absl::string_view message,
                  const ordered_json& details) {
  ordered_json error = {{"code", code},
                        {"status", std::string(name)},
                        {"message", Printable(message, kMaxErrorBytes)}};
  if (!details.is_null()) error["details"] = details;
  return Dump({{"error", std::move(error)}});
}

}  // namespace

int HttpCodeOf(const absl::Status& error) {
  switch (error.code()) {
    case absl::StatusCode::kOk:
      return 200;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
      return 400;
    case absl::StatusCode::kUnauthenticated:
      return 401;
    case absl::StatusCode::kPermissionDenied:
      return 403;
    case absl::StatusCode::kNotFound:
      return 404;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kAborted:
      return 409;
    case absl::StatusCode::kResourceExhausted:
      return MayRetry(error) ? 429 : 413;
    case absl::StatusCode::kCancelled:
      return 499;
    case absl::StatusCode::kUnimplemented:
      return 501;
    case absl::StatusCode::kUnavailable:
      return 503;
    case absl::StatusCode::kDeadlineExceeded:
      return 504;
    default:
      return 500;
  }
}

std::string ErrorJson(const absl::Status& error) {
  return Error(HttpCodeOf(error), absl::StatusCodeToString(error.code()),
               error.message(), Details(error));
}

std::string ErrorJson(int code, absl::string_view message) {
  return Error(code, NameOf(code), message, nullptr);
}

std::vector<HttpField> ErrorFields(const absl::Status& error) {
  switch (HttpCodeOf(error)) {
    case 401:
      return {{"WWW-Authenticate", "Bearer"}};
    case 429: {
      const absl::Duration wait = RetryAfter(error);
      return {
          {"Retry-After", absl::StrCat(absl::ToInt64Seconds(
                              absl::Ceil(wait, absl::Seconds(1))))},
          {"retry-after-ms", absl::StrCat(absl::ToInt64Milliseconds(wait))}};
    }
    case 501:
      return {{"x-should-retry", "false"}};
    case 503:
      return {{"Retry-After", "1"}};
    default:
      return {};
  }
}

}  // namespace lmserve
