// SPDX-License-Identifier: Apache-2.0
#include "server/http/http_error.h"

#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "google/rpc/error_details.pb.h"
#include "models/printable_text.h"
#include "server/call/status.h"
#include "server/http/json_printer.h"

namespace lmserve {
namespace {

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

// The JSON of a duration, with as many digits as protobuf prints.
std::string DurationJson(const google::protobuf::Duration& duration) {
  const std::string digits =
      absl::StrFormat("%d.%09d", duration.seconds(), duration.nanos());
  absl::string_view text = digits;
  while (absl::ConsumeSuffix(&text, "000")) {
  }
  absl::ConsumeSuffix(&text, ".");
  return absl::StrCat("\"", text, "s\"");
}

// Appends a detail of an error, of the types that server/call/status makes.
void AppendDetail(absl::string_view type, const std::string& bytes,
                  std::string* json) {
  google::rpc::RetryInfo retry;
  google::rpc::BadRequest bad_request;
  absl::StrAppend(json, R"({"@type":)");
  AppendJsonString(type, json);
  if (absl::EndsWith(type, "/google.rpc.RetryInfo") &&
      retry.ParseFromString(bytes)) {
    absl::StrAppend(json, R"(,"retryDelay":)",
                    DurationJson(retry.retry_delay()));
  } else if (absl::EndsWith(type, "/google.rpc.BadRequest") &&
             bad_request.ParseFromString(bytes)) {
    absl::StrAppend(json, R"(,"fieldViolations":[)");
    const char* separator = "";
    for (const auto& violation : bad_request.field_violations()) {
      absl::StrAppend(json, std::exchange(separator, ","), R"({"field":)");
      AppendJsonString(violation.field(), json);
      json->push_back('}');
    }
    json->push_back(']');
  }
  json->push_back('}');
}

// Returns the details as the elements of an array.
std::string Details(const absl::Status& error) {
  std::string details;
  error.ForEachPayload([&](absl::string_view type, const absl::Cord& value) {
    if (!details.empty()) details.push_back(',');
    AppendDetail(type, std::string(value), &details);
  });
  return details;
}

std::string Error(int code, absl::string_view name, absl::string_view message,
                  absl::string_view details) {
  std::string json = absl::StrCat(R"({"error":{"code":)", code,
                                  R"(,"status":")", name, R"(","message":)");
  AppendJsonString(Printable(message, kMaxErrorBytes), &json);
  if (!details.empty()) absl::StrAppend(&json, R"(,"details":[)", details, "]");
  return json + "}}";
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
  return Error(code, NameOf(code), message, "");
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
