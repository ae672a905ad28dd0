// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HTTP_HTTP_CALL_H_
#define LMSERVE_SERVER_HTTP_HTTP_CALL_H_

#include <string>

#include "absl/strings/string_view.h"
#include "server/http/http_stream.h"
#include "server/transport/transport_call.h"

namespace lmserve {

// A call over HTTP. The stream must outlive its use, but not the object.
class HttpCall final : public TransportCall {
 public:
  // `priority` is the one of the method; the field `lm-priority`, with the
  // value interactive or bulk, overrides it. The deadline is the one of the
  // field `grpc-timeout`. A call without an x-request-id gets one.
  HttpCall(HttpStream& stream, Priority priority);

  bool IsCancelled() const override { return stream_.IsCancelled(); }
  std::string client() const override { return stream_.client(); }
  absl::string_view Header(absl::string_view name) const override;
  std::string JoinedHeader(absl::string_view name) const override;
  HttpRequestLine http_request_line(const absl::Status& status) const override;

  // Returns the time of a value of `grpc-timeout`, such as "100m" for 100
  // milliseconds; the largest one if it is not valid.
  static Clock::duration ParseTimeout(absl::string_view text);

 private:
  void DoCancel() const override { stream_.Cancel(); }

  HttpStream& stream_;
  const std::string own_request_id_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HTTP_HTTP_CALL_H_
