// SPDX-License-Identifier: Apache-2.0
#include "server/http/http_reply.h"

#include <algorithm>
#include <utility>

#include "server/call/status.h"
#include "server/http/http_error.h"

namespace lmserve {
namespace {

// Reserves memory for a body that has come so far, or is said to come.
absl::Status ReserveBody(HttpStream& stream, RequestReader* reader,
                         uint64_t bytes) {
  absl::Status status = HoldRequest(stream, bytes);
  return status.ok() ? reader->Reserve(bytes) : status;
}

void AddAll(std::vector<HttpField> more, std::vector<HttpField>* fields) {
  std::move(more.begin(), more.end(), std::back_inserter(*fields));
}

Task<bool> SendWhole(HttpStream& stream, const HttpResponseHead& head,
                     std::string body) {
  std::string bytes = WholeResponse(
      head, body, stream.request().method == "HEAD", !stream.CanKeep());
  body = std::string();
  co_return co_await stream.Write(std::move(bytes));
}

}  // namespace

HttpResponseHead ReplyHead(const HttpContext& context, HttpStream& stream,
                           const TransportCall& call, int code,
                           absl::string_view content_type) {
  HttpResponseHead head = {
      code,
      {{"Content-Type", std::string(content_type)},
       {"Cache-Control", "no-store"},
       {kRequestIdHeader, std::string(call.request_id())}}};
  if (const absl::string_view parent = call.trace_parent(); !parent.empty()) {
    head.fields.push_back({kTraceParentHeader, std::string(parent)});
  }
  AddAll(context.policy.AnswerFields(stream.request()), &head.fields);
  return head;
}

Task<bool> SendReply(const HttpContext& context, HttpStream& stream,
                     const TransportCall& call, int code,
                     absl::string_view content_type, std::string body) {
  const HttpResponseHead head =
      ReplyHead(context, stream, call, code, content_type);
  co_return co_await SendWhole(stream, head, std::move(body));
}

Task<bool> SendError(const HttpContext& context, HttpStream& stream,
                     const TransportCall& call, const absl::Status& error,
                     std::string json) {
  HttpResponseHead head =
      ReplyHead(context, stream, call, HttpCodeOf(error), kJsonType);
  AddAll(ErrorFields(error), &head.fields);
  co_return co_await SendWhole(stream, head, std::move(json));
}

Task<bool> SendError(const HttpContext& context, HttpStream& stream,
                     const TransportCall& call, const absl::Status& error) {
  return SendError(context, stream, call, error, ErrorJson(error));
}

absl::Status HoldRequest(HttpStream& stream, uint64_t bytes) {
  if (stream.Hold(bytes)) return absl::OkStatus();
  return ResourceExhausted(
      "request bytes: too many of this client are not read yet",
      absl::Seconds(1));
}

Task<absl::Status> ReadBody(const HttpContext& context, HttpStream& stream,
                            RequestReader* reader, std::string* body) {
  constexpr uint64_t kFirstReservation = 64 << 10;
  const std::optional<uint64_t> length = stream.request().body_bytes;
  if (length.has_value()) {
    absl::Status status =
        CheckLimit("request bytes", *length, context.message_bytes);
    if (!status.ok()) co_return status;
  }
  uint64_t reserved = length.value_or(kFirstReservation);
  absl::Status status = ReserveBody(stream, reader, reserved);
  if (!status.ok()) co_return status;
  std::string piece;
  while (true) {
    const bool has_piece = co_await stream.Read(&piece);
    if (!has_piece) co_return stream.read_status();
    const uint64_t size = body->size() + piece.size();
    status = CheckLimit("request bytes", size, context.message_bytes);
    if (status.ok() && size > reserved) {
      reserved = std::max(size, 2 * reserved);
      status = ReserveBody(stream, reader, reserved);
    }
    if (!status.ok()) co_return status;
    body->append(piece);
  }
}

Task<absl::Status> ReadJsonRequest(const HttpContext& context,
                                   HttpStream& stream, RequestReader* reader,
                                   google::protobuf::Message* request,
                                   bool may_be_empty) {
  std::string body;
  absl::Status status = co_await ReadBody(context, stream, reader, &body);
  if (!status.ok()) co_return status;
  if (body.empty() && may_be_empty) co_return absl::OkStatus();
  status = reader->Reserve(JsonFormat::MemoryOfParsing(body.size()));
  if (!status.ok()) co_return status;
  co_await EnterThreadFor(context, stream, body.size());
  std::string wire;
  status = context.json.ToWire(*request->GetDescriptor(), body, &wire);
  if (!status.ok()) co_return status;
  body = std::string();
  const absl::string_view bytes = wire;
  co_return reader->Read({&bytes, 1}, request);
}

}  // namespace lmserve
