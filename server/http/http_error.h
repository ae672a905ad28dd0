// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HTTP_HTTP_ERROR_H_
#define LMSERVE_SERVER_HTTP_HTTP_ERROR_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/http/http_request.h"

namespace lmserve {

// Returns the HTTP code of an error: the one of google.rpc.Code, except that
// RESOURCE_EXHAUSTED without a RetryInfo is 413, since clients retry 429.
int HttpCodeOf(const absl::Status& error);

// Returns the error as JSON, in the form of Google's API guide (AIP-193):
//   {"error": {"code": 404, "status": "NOT_FOUND", "message": "...",
//              "details": [...]}}
// The details are those of the gRPC error. The message is made Printable().
std::string ErrorJson(const absl::Status& error);

// The same for an error of HTTP itself, which has a code but no status.
std::string ErrorJson(int code, absl::string_view message);

// Returns the header fields that belong to the error: when to retry, how to
// authenticate.
std::vector<HttpField> ErrorFields(const absl::Status& error);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HTTP_HTTP_ERROR_H_
