// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HTTP_HTTP_POLICY_H_
#define LMSERVE_SERVER_HTTP_HTTP_POLICY_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/http/http_parser.h"
#include "server/http/http_request.h"

namespace lmserve {

// What web pages may ask the server. A browser sends requests for any page,
// with the rights of the machine that it runs on, so they are checked before
// anything else looks at them.
struct HttpPolicyOptions {
  // Names by which clients may call the server, beside IP addresses, localhost
  // and names below localhost. Any other name may be one that its owner has
  // pointed to this machine, to make a browser trust his page (DNS rebinding).
  std::vector<std::string> hosts = {};
  bool any_host = false;  // no check of the name
  // Origins of pages that may call the server and read its answers, such as
  // "https://example.org".
  std::vector<std::string> origins = {};
};

// Thread-safe.
class HttpPolicy {
 public:
  explicit HttpPolicy(HttpPolicyOptions options)
      : options_(std::move(options)) {}

  // Returns why the request must not be answered: 400 or 403.
  std::optional<HttpError> Check(const HttpRequest& request) const;

  // The fields of an answer by which the browser lets a page of the list read
  // it.
  std::vector<HttpField> AnswerFields(const HttpRequest& request) const;

  // Whether this is the question of a browser whether a page of the list may
  // send a request, and the fields of its answer.
  bool IsPreflight(const HttpRequest& request) const;
  std::vector<HttpField> PreflightFields(const HttpRequest& request) const;

 private:
  bool IsAllowedHost(absl::string_view authority) const;
  bool IsListed(absl::string_view origin) const;

  const HttpPolicyOptions options_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HTTP_HTTP_POLICY_H_
