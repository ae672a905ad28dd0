// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_OPENAI_COMPLETION_STREAM_H_
#define LMSERVE_SERVER_OPENAI_COMPLETION_STREAM_H_

#include <string>

#include "absl/status/status.h"
#include "server/call/task.h"
#include "server/http/http_body.h"
#include "server/http/http_context.h"
#include "server/http/http_stream.h"
#include "server/openai/completion.h"
#include "server/openai/completion_json.h"
#include "server/transport/transport_call.h"

namespace lmserve {

// The pieces of a completion as server-sent events, as transport/streaming.h
// needs them. The last event is [DONE]. All arguments must outlive it.
class CompletionStream {
 public:
  CompletionStream(const HttpContext& context, HttpStream& stream,
                   const TransportCall& call, const Completion& completion);

  size_t BytesOf(const CompletionPiece& piece) const;
  Task<bool> Enter(size_t bytes) {
    return EnterThreadFor(context_, stream_, bytes);
  }
  void Serialize(const CompletionPiece& piece);
  auto Write() { return body_.Write(); }

  // Ends the stream, with an error unless the status is OK. Before the first
  // piece the error is a whole answer with a code of its own. Returns whether
  // the connection may be kept.
  Task<bool> End(const absl::Status& status);

 private:
  void AppendEvent(absl::string_view data);

  const HttpContext& context_;
  HttpStream& stream_;
  const TransportCall& call_;
  const Completion& completion_;
  const CompletionHead head_;
  HttpBody body_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_OPENAI_COMPLETION_STREAM_H_
