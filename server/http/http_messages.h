// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HTTP_HTTP_MESSAGES_H_
#define LMSERVE_SERVER_HTTP_HTTP_MESSAGES_H_

#include <google/protobuf/message.h>

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/admission/budget.h"
#include "server/call/task.h"
#include "server/http/http_body.h"
#include "server/http/http_context.h"
#include "server/http/http_stream.h"
#include "server/transport/request_reader.h"
#include "server/transport/transport_call.h"

namespace lmserve {

// How a stream of messages is written.
enum class StreamForm {
  kEvents,  // server-sent events: "data: MESSAGE", and "event: error"
  kLines,   // a message a line (NDJSON); an error is the last line
  kArray,   // one JSON array, sent as it grows; an error is its last element
};

// Returns the form that the field Accept asks for first; an array if it asks
// for none of them.
StreamForm AcceptedForm(absl::string_view accept);

// The messages of a stream in JSON, as transport/streaming.h needs them.
// Requests come one a line. All of context, stream and call must outlive it.
class HttpMessages {
 public:
  HttpMessages(const HttpContext& context, HttpStream& stream,
               const TransportCall& call, StreamForm form,
               const google::protobuf::Descriptor* request_type = nullptr);

  Task<bool> Read();
  absl::Status Parse(RequestReader* reader,
                     google::protobuf::Message* request) const;
  void DropRequest() { wire_ = std::string(); }

  static size_t BytesOf(const google::protobuf::Message& message) {
    return JsonFormat::MaxBytes(message);
  }
  Task<bool> Enter(size_t bytes) {
    return EnterThreadFor(context_, stream_, bytes);
  }
  void Serialize(const google::protobuf::Message& message);
  auto Write() { return body_.Write(); }

  // Ends the stream of messages, with an error unless the status is OK. Before
  // the first message the error is a whole answer with a code of its own.
  // Returns whether the connection may be kept.
  Task<bool> End(const absl::Status& status);

 private:
  // Reads up to the end of a line. Returns false at the end of the body.
  Task<absl::StatusOr<bool>> ReadLine(std::string* line);
  absl::Status ReserveLine(size_t bytes);
  std::string Framed(absl::string_view json, bool is_error) const;

  const HttpContext& context_;
  HttpStream& stream_;
  const TransportCall& call_;
  const StreamForm form_;
  const google::protobuf::Descriptor* const request_type_;  // or null

  Budget::Reservation in_bytes_;  // of in_ and the line
  std::string in_;                // what has come after the last line
  std::string wire_;              // the last request
  absl::Status read_status_;      // of the last request

  HttpBody body_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HTTP_HTTP_MESSAGES_H_
