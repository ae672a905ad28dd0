// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HTTP_HTTP_RESPONSE_H_
#define LMSERVE_SERVER_HTTP_HTTP_RESPONSE_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/http/http_parser.h"
#include "server/http/http_request.h"

namespace lmserve {

// The head of a response, without the fields that say how long the body is and
// whether the connection stays. REQUIRES: names and values have no control
// characters.
struct HttpResponseHead {
  int code = 200;
  std::vector<HttpField> fields;
};

// Returns the bytes of a response with its body, which is left out, but not its
// length, for the method HEAD.
std::string WholeResponse(const HttpResponseHead& head, absl::string_view body,
                          bool is_head_request, bool closes);

// Returns the head of a response whose length is not known: its body comes in
// chunks or, for HTTP/1.0, until the connection is closed.
std::string StreamHead(const HttpResponseHead& head, bool in_chunks,
                       bool closes);

// Returns bytes as one chunk. REQUIRES: they are not empty.
std::string Chunk(absl::string_view bytes);

// The chunk that ends a body.
inline constexpr absl::string_view kLastChunk = "0\r\n\r\n";

// Returns the response to bytes that are no request.
std::string ProtocolErrorResponse(const HttpError& error);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HTTP_HTTP_RESPONSE_H_
