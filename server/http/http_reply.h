// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HTTP_HTTP_REPLY_H_
#define LMSERVE_SERVER_HTTP_HTTP_REPLY_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/call/task.h"
#include "server/http/http_context.h"
#include "server/http/http_response.h"
#include "server/http/http_stream.h"
#include "server/transport/request_reader.h"
#include "server/transport/transport_call.h"

namespace lmserve {

inline constexpr char kJsonType[] = "application/json";
inline constexpr char kNdjsonType[] = "application/x-ndjson";
inline constexpr char kEventStreamType[] = "text/event-stream";

// Returns the head of the answer to a call, with the fields by which the client
// recognizes it.
HttpResponseHead ReplyHead(const HttpContext& context, HttpStream& stream,
                           const TransportCall& call, int code,
                           absl::string_view content_type);

// Sends a whole answer. Returns whether the connection may be kept.
Task<bool> SendReply(const HttpContext& context, HttpStream& stream,
                     const TransportCall& call, int code,
                     absl::string_view content_type, std::string body);

// Sends an error, with `json` as its body. Returns whether the connection may
// be kept.
Task<bool> SendError(const HttpContext& context, HttpStream& stream,
                     const TransportCall& call, const absl::Status& error,
                     std::string json);

// The same with ErrorJson() as the body.
Task<bool> SendError(const HttpContext& context, HttpStream& stream,
                     const TransportCall& call, const absl::Status& error);

// Holds bytes of a request for the client, instead of what is held so far.
// Returns RESOURCE_EXHAUSTED if the client has too much that is not read yet.
absl::Status HoldRequest(HttpStream& stream, uint64_t bytes);

// Reads the body of a request, at most context.message_bytes, and reserves its
// memory with `reader` before it comes.
Task<absl::Status> ReadBody(const HttpContext& context, HttpStream& stream,
                            RequestReader* reader, std::string* body);

// Reads the body of a request in JSON and parses it. An empty body is an empty
// message if `may_be_empty`.
Task<absl::Status> ReadJsonRequest(const HttpContext& context,
                                   HttpStream& stream, RequestReader* reader,
                                   google::protobuf::Message* request,
                                   bool may_be_empty = false);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HTTP_HTTP_REPLY_H_
