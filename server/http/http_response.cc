// SPDX-License-Identifier: Apache-2.0
#include "server/http/http_response.h"

#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/http/http_error.h"

namespace lmserve {
namespace {

absl::string_view ReasonOf(int code) {
  switch (code) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 406:
      return "Not Acceptable";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 415:
      return "Unsupported Media Type";
    case 417:
      return "Expectation Failed";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Error";
  }
}

// Returns the value of the field Date. Formatting it takes longer than the rest
// of a head, so each thread does it once a second.
absl::string_view DateNow() {
  thread_local int64_t second = -1;
  thread_local std::string date;
  const absl::Time now = absl::Now();
  if (const int64_t now_second = absl::ToUnixSeconds(now);
      now_second != second) {
    second = now_second;
    date =
        absl::FormatTime("%a, %d %b %Y %H:%M:%S GMT", now, absl::UTCTimeZone());
  }
  return date;
}

// Returns the head without its last line end.
std::string Begin(const HttpResponseHead& head, bool closes) {
  std::string text = absl::StrCat("HTTP/1.1 ", head.code, " ",
                                  ReasonOf(head.code), "\r\nDate: ", DateNow(),
                                  // Nothing else may guess what the bytes are.
                                  "\r\nX-Content-Type-Options: nosniff\r\n");
  for (const HttpField& field : head.fields) {
    absl::StrAppend(&text, field.name, ": ", field.value, "\r\n");
  }
  if (closes) absl::StrAppend(&text, "Connection: close\r\n");
  return text;
}

}  // namespace

std::string WholeResponse(const HttpResponseHead& head, absl::string_view body,
                          bool is_head_request, bool closes) {
  std::string text = Begin(head, closes);
  // A response without a body by definition must not have a length.
  if (head.code != 204 && head.code != 304) {
    absl::StrAppend(&text, "Content-Length: ", body.size(), "\r\n");
  }
  absl::StrAppend(&text, "\r\n", is_head_request ? "" : body);
  return text;
}

std::string StreamHead(const HttpResponseHead& head, bool in_chunks,
                       bool closes) {
  return absl::StrCat(
      Begin(head, closes || !in_chunks),
      // Proxies such as nginx must pass each part on when it comes.
      "X-Accel-Buffering: no\r\n",
      in_chunks ? "Transfer-Encoding: chunked\r\n\r\n" : "\r\n");
}

std::string Chunk(absl::string_view bytes) {
  return absl::StrCat(absl::Hex(bytes.size()), "\r\n", bytes, "\r\n");
}

std::string ProtocolErrorResponse(const HttpError& error) {
  return WholeResponse({error.code, {{"Content-Type", "application/json"}}},
                       ErrorJson(error.code, error.message),
                       /*is_head_request=*/false,
                       /*closes=*/true);
}

}  // namespace lmserve
