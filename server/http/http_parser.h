// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HTTP_HTTP_PARSER_H_
#define LMSERVE_SERVER_HTTP_HTTP_PARSER_H_

#include <cstddef>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "server/http/http_request.h"

namespace lmserve {

// Limits on one request. A handler limits the body, which it reads.
struct HttpHeadLimits {
  size_t bytes = 16 << 10;  // request line and fields; trailers; a chunk's head
  size_t fields = 100;      // with the trailers
};

// Why the bytes of a client are no request: the code of the answer, after which
// the connection must be closed, since the end of the request is not known.
struct HttpError {
  int code;  // such as 400
  std::string message;
};

// Parses one request of HTTP/1.0 or 1.1. Refuses everything about which two
// parsers may disagree, and by which a client could hide a request from a proxy
// (request smuggling): more than one length, any transfer coding but chunked,
// chunk extensions, folded fields, several Host fields. Trailers are checked
// and dropped. For one thread at a time.
class HttpParser {
 public:
  explicit HttpParser(const HttpHeadLimits& limits);
  ~HttpParser();
  HttpParser(const HttpParser&) = delete;
  HttpParser& operator=(const HttpParser&) = delete;

  // Parses bytes of the client, up to the end of the head in one call, and up
  // to the end of the request in later ones. Sets *used to the number of bytes
  // that it needs no more; the others must come again, with more bytes after
  // them. Appends what these are of the body to *body. Returns an error if they
  // cannot be the beginning of a request; the parser must then not be used any
  // more. REQUIRES: !is_done().
  std::optional<HttpError> Put(absl::string_view bytes, size_t* used,
                               std::string* body);

  bool has_head() const;
  bool is_done() const;

  // The head. REQUIRES: has_head().
  HttpRequest& request();

 private:
  class Impl;

  const std::unique_ptr<Impl> impl_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HTTP_HTTP_PARSER_H_
