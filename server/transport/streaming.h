// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_TRANSPORT_STREAMING_H_
#define LMSERVE_SERVER_TRANSPORT_STREAMING_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "server/call/status.h"
#include "server/call/task.h"
#include "server/telemetry/metrics.h"
#include "server/transport/call_interceptor.h"
#include "server/transport/exchange.h"
#include "server/transport/transport_call.h"

namespace lmserve {

// How streams are answered, whatever transports them. A transport passes an
// object with these members, which sends one message at a time:
//
//   co_await Read()        waits for a request; false: there are no more, or
//                          the call is cancelled
//   Parse(reader, message) parses that request; returns its error
//   DropRequest()          frees the bytes of that request
//   BytesOf(message)       the most bytes that the message will take
//   co_await Enter(bytes)  continues on a thread that may serialize this much
//   Serialize(message)     makes the bytes to be written
//   co_await Write()       writes them; false: the client is gone

// A stream whose token was revoked while the server waits for its client to
// read is cancelled at this check of the tokens.
inline constexpr int kCancelAtCheck = 3;

// Ends a stream soon after its token was revoked or the server has to end. The
// stream itself notices it before its next message, unless it waits for a
// request or for its client to read. `finish_read` ends a call that waits for a
// request, and returns whether it did.
inline void EndEarly(CallScope* scope, const TransportCall& call,
                     const std::function<bool()>& finish_read) {
  scope->WatchToken([&call, finish_read, checks = std::make_shared<int>(0)] {
    if (finish_read() || ++*checks < kCancelAtCheck) return;
    call.Cancel(CancelReason::kRevoked);
  });
  scope->WatchShutdown([finish_read] { finish_read(); });
}

// Answers one request of a stream. Reserves the bytes of the answer before it
// is serialized.
template <typename Request, typename Response, typename Stream, typename Handle>
Task<absl::Status> AnswerOne(const CallInterceptor& interceptor,
                             const TransportCall& call, Stream& stream,
                             std::optional<PendingWrite>* pending_write,
                             const Handle& answer) {
  Exchange<Request, Response> exchange(interceptor.request_bytes());
  absl::Status status =
      stream.Parse(&exchange.reader(), exchange.mutable_request());
  if (!status.ok()) co_return status;
  status = co_await answer(exchange.request(), exchange.response());
  if (!status.ok()) co_return status;
  const size_t bytes = stream.BytesOf(*exchange.response());
  co_await stream.Enter(bytes);
  pending_write->emplace(interceptor, call, bytes);
  status = (*pending_write)->status();
  if (status.ok()) stream.Serialize(*exchange.response());
  co_return status;
}

// Reads a request, writes its response, and repeats this until the client sends
// no more requests. Returns the first error, which ends the stream; its message
// begins with the number of the request, counted from 0. `answer` answers each
// request: Task<absl::Status>(const Request&, Response*).
template <typename Request, typename Response, typename Stream, typename Handle>
Task<absl::Status> AnswerRequests(const CallInterceptor& interceptor,
                                  TransportCall& call, const CallScope& scope,
                                  Stream& stream, const Handle& answer) {
  for (uint64_t number = 0;; ++number) {
    const bool has_request = co_await stream.Read();
    absl::Status status = scope.CheckContinues();
    if (!status.ok()) co_return status;
    if (!has_request) co_return call.CheckWanted();
    call.BeginRequest();
    std::optional<PendingWrite> pending_write;
    status = co_await AnswerOne<Request, Response>(interceptor, call, stream,
                                                   &pending_write, answer);
    if (!status.ok()) {
      co_return Prefixed(absl::StrCat("request ", number, ": "), status);
    }
    stream.DropRequest();
    const bool written = co_await stream.Write();
    if (!written) co_return Call::Cancelled();
  }
}

// Writes the messages of `next`, Task<absl::StatusOr<bool>>(Response*), which
// returns false after the last one. A message is computed only when the one
// before is written. So a slow client delays only its own stream, and a
// cancelled call stops within one message.
template <typename Response, typename Stream, typename Next>
Task<absl::Status> WriteAll(const CallInterceptor& interceptor,
                            const TransportCall& call, const CallScope& scope,
                            Stream& stream, const Next& next) {
  while (true) {
    Response response;
    const absl::StatusOr<bool> more = co_await next(&response);
    if (!more.ok() || !*more) co_return more.status();
    absl::Status status = scope.CheckContinues();
    if (!status.ok()) co_return status;
    const size_t bytes = stream.BytesOf(response);
    co_await stream.Enter(bytes);
    const PendingWrite pending_write(interceptor, call, bytes);
    if (!pending_write.status().ok()) co_return pending_write.status();
    stream.Serialize(response);
    const bool written = co_await stream.Write();
    if (!written) co_return Call::Cancelled();
  }
}

// Measures how long a stream of generated words takes for each.
class WordTimer {
 public:
  WordTimer(const CallInterceptor& interceptor, const CallScope& scope)
      : metrics_(interceptor.metrics()), scope_(scope) {}

  void OnWord(const LoadedVersion& model) {
    const double now = scope_.seconds();
    if (last_ < 0) {
      metrics_.OnFirstWord(model, now);
    } else {
      metrics_.OnNextWord(model, now - last_);
    }
    last_ = now;
  }

 private:
  Metrics& metrics_;
  const CallScope& scope_;
  double last_ = -1;  // when the last word came; negative: none yet
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_TRANSPORT_STREAMING_H_
