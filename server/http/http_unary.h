// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HTTP_HTTP_UNARY_H_
#define LMSERVE_SERVER_HTTP_HTTP_UNARY_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/admission/authenticator.h"
#include "server/call/task.h"
#include "server/http/http_call.h"
#include "server/http/http_context.h"
#include "server/http/http_reply.h"
#include "server/http/http_stream.h"
#include "server/transport/call_interceptor.h"
#include "server/transport/exchange.h"

namespace lmserve {

enum class RequestBody { kNone, kOptional, kNeeded };

// Answers a call with one request and one response. `fill` sets what the path
// says, absl::Status(Request*), after the body was parsed; `answer` is
// Task<absl::Status>(Call&, const Request&, Response*). Neither is called if
// the interceptor refuses the call or the request cannot be parsed. The context
// must outlive the call.
template <typename Request, typename Response, typename Fill, typename Answer>
DetachedTask AnswerHttpUnary(const HttpContext& context,
                             absl::string_view method, Role needed,
                             RequestBody body,
                             std::shared_ptr<HttpStream> stream, Fill fill,
                             Answer answer) {
  HttpCall call(*stream, Priority::kInteractive);
  CallScope scope(context.interceptor, call, method, needed);
  absl::Status status = scope.status();
  std::string json;
  std::optional<PendingWrite> pending_write;
  if (status.ok()) {
    Exchange<Request, Response> exchange(context.interceptor.request_bytes());
    if (body != RequestBody::kNone) {
      status = co_await ReadJsonRequest(context, *stream, &exchange.reader(),
                                        exchange.mutable_request(),
                                        body == RequestBody::kOptional);
    }
    if (status.ok()) status = fill(exchange.mutable_request());
    if (status.ok()) {
      status = co_await answer(call, exchange.request(), exchange.response());
    }
    if (status.ok()) {
      const size_t bytes = JsonFormat::MaxBytes(*exchange.response());
      co_await EnterThreadFor(context, *stream, bytes);
      pending_write.emplace(context.interceptor, call, bytes);
      status = pending_write->status();
    }
    if (status.ok()) context.json.Append(*exchange.response(), &json);
  }
  scope.Leave(status);
  bool may_keep = false;
  if (status.ok()) {
    may_keep = co_await SendReply(context, *stream, call, 200, kJsonType,
                                  std::move(json));
  } else if (!absl::IsCancelled(status)) {
    may_keep = co_await SendError(context, *stream, call, status);
  }
  pending_write.reset();
  FinishStream(std::move(stream), may_keep);
}

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HTTP_HTTP_UNARY_H_
