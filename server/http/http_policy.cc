// SPDX-License-Identifier: Apache-2.0
#include "server/http/http_policy.h"

#include <arpa/inet.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "models/printable_text.h"

namespace lmserve {
namespace {

bool IsSafe(absl::string_view method) {
  return method == "GET" || method == "HEAD" || method == "OPTIONS";
}

// Returns the host of HOST or HOST:PORT, without brackets; empty if it has no
// such form.
absl::string_view HostOf(absl::string_view authority) {
  absl::string_view host = authority, port;
  if (absl::StartsWith(authority, "[")) {
    const size_t end = authority.find(']');
    if (end == authority.npos) return "";
    host = authority.substr(1, end - 1);
    port = authority.substr(end + 1);
    if (!port.empty() && port[0] != ':') return "";
  } else if (const size_t colon = authority.find(':');
             colon != authority.npos) {
    host = authority.substr(0, colon);
    port = authority.substr(colon);
  }
  if (!port.empty() &&
      port.substr(1).find_first_not_of("0123456789") != port.npos) {
    return "";
  }
  return host;
}

bool IsAddress(const std::string& host) {
  in6_addr address;
  return inet_pton(AF_INET, host.c_str(), &address) == 1 ||
         inet_pton(AF_INET6, host.c_str(), &address) == 1;
}

// Whether an origin such as "http://localhost:8080" is the server that the
// request asks. The scheme cannot be compared, because a proxy may add TLS.
bool IsSameHost(absl::string_view origin, absl::string_view authority) {
  const size_t slashes = origin.find("://");
  return slashes != origin.npos &&
         absl::EqualsIgnoreCase(origin.substr(slashes + 3), authority);
}

}  // namespace

bool HttpPolicy::IsAllowedHost(absl::string_view authority) const {
  if (options_.any_host) return true;
  const std::string host = absl::AsciiStrToLower(HostOf(authority));
  if (host.empty()) return false;
  if (host == "localhost" || absl::EndsWith(host, ".localhost") ||
      IsAddress(host)) {
    return true;
  }
  return std::any_of(options_.hosts.begin(), options_.hosts.end(),
                     [&](const std::string& name) {
                       return absl::EqualsIgnoreCase(name, host);
                     });
}

bool HttpPolicy::IsListed(absl::string_view origin) const {
  return std::find(options_.origins.begin(), options_.origins.end(), origin) !=
         options_.origins.end();
}

std::optional<HttpError> HttpPolicy::Check(const HttpRequest& request) const {
  if (!request.authority.empty() && !IsAllowedHost(request.authority)) {
    return HttpError{403,
                     absl::StrCat("the host '", Printable(request.authority),
                                  "' is not one of this server; lm_server "
                                  "--http-hosts lists its names")};
  }
  // A request without both fields comes from no browser.
  const absl::string_view site = request.Field("sec-fetch-site");
  const absl::string_view origin = request.Field("origin");
  if (IsSafe(request.method) || site == "same-origin" || site == "none" ||
      (site.empty() && origin.empty()) || IsListed(origin) ||
      (site.empty() && IsSameHost(origin, request.authority))) {
    return std::nullopt;
  }
  return HttpError{403, absl::StrCat("pages of the origin '", Printable(origin),
                                     "' must not call this server; lm_server "
                                     "--http-origins lists those that may")};
}

std::vector<HttpField> HttpPolicy::AnswerFields(
    const HttpRequest& request) const {
  if (options_.origins.empty()) return {};
  const absl::string_view origin = request.Field("origin");
  std::vector<HttpField> fields = {{"Vary", "Origin"}};
  if (IsListed(origin)) {
    fields.push_back({"Access-Control-Allow-Origin", std::string(origin)});
    fields.push_back({"Access-Control-Expose-Headers",
                      "x-request-id, retry-after, retry-after-ms"});
  }
  return fields;
}

bool HttpPolicy::IsPreflight(const HttpRequest& request) const {
  return request.method == "OPTIONS" && IsListed(request.Field("origin")) &&
         !request.Field("access-control-request-method").empty();
}

std::vector<HttpField> HttpPolicy::PreflightFields(
    const HttpRequest& request) const {
  std::vector<HttpField> fields = AnswerFields(request);
  fields.push_back({"Access-Control-Allow-Methods", "GET, POST, PUT, DELETE"});
  fields.push_back({"Access-Control-Allow-Headers",
                    "authorization, content-type, lm-priority, grpc-timeout, "
                    "x-request-id, traceparent, tracestate"});
  fields.push_back({"Access-Control-Max-Age", "600"});
  return fields;
}

}  // namespace lmserve
