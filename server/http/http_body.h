// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HTTP_HTTP_BODY_H_
#define LMSERVE_SERVER_HTTP_HTTP_BODY_H_

#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "server/call/task.h"
#include "server/http/http_context.h"
#include "server/http/http_stream.h"
#include "server/transport/transport_call.h"

namespace lmserve {

// The answer to a call with a body that is sent as it grows. The head is sent
// with the first bytes. All of context, stream and call must outlive it.
class HttpBody {
 public:
  // A body of kEventStreamType gets a heartbeat: a comment while nothing else
  // is sent for some time.
  HttpBody(const HttpContext& context, HttpStream& stream,
           const TransportCall& call, absl::string_view content_type)
      : context_(context),
        stream_(stream),
        call_(call),
        content_type_(content_type) {}

  // Whether something was appended, so that no other answer can be sent.
  bool has_begun() const { return has_begun_; }

  // Appends bytes to what the next Write() sends. Without bytes it appends the
  // head, unless that was sent.
  void Append(absl::string_view bytes);

  // co_await Write() sends what was appended; false: the client is gone.
  auto Write() { return stream_.Write(std::move(out_)); }

  // Sends the rest and the end of the body. Returns whether the connection may
  // be kept.
  Task<bool> End();

 private:
  const HttpContext& context_;
  HttpStream& stream_;
  const TransportCall& call_;
  const absl::string_view content_type_;
  bool has_begun_ = false;
  std::string out_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HTTP_HTTP_BODY_H_
