// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HTTP_HTTP_REQUEST_H_
#define LMSERVE_SERVER_HTTP_HTTP_REQUEST_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace lmserve {

struct HttpField {
  std::string name;  // in lower case
  std::string value;
};

// The head of a request: all but its body.
struct HttpRequest {
  std::string method;          // such as "GET"
  std::string path;            // as it was sent, with percent-encoding; or "*"
  std::string query;           // without the question mark
  std::string authority = {};  // HOST or HOST:PORT; may be empty
  bool is_http_1_0 = false;
  bool keeps_alive = true;  // the client may send another request
  bool expects_continue = false;
  // Not set: the body comes in chunks. 0: there is no body.
  std::optional<uint64_t> body_bytes = 0;
  std::vector<HttpField> fields;

  bool has_body() const { return !body_bytes.has_value() || *body_bytes > 0; }

  // The value of the first field of this name, in lower case, or an empty
  // string if there is none.
  absl::string_view Field(absl::string_view name) const {
    for (const HttpField& field : fields) {
      if (field.name == name) return field.value;
    }
    return "";
  }
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HTTP_HTTP_REQUEST_H_
