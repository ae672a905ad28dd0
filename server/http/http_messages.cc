// SPDX-License-Identifier: Apache-2.0
#include "server/http/http_messages.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/call/status.h"
#include "server/http/http_error.h"
#include "server/http/http_reply.h"

namespace lmserve {
namespace {

constexpr absl::string_view ContentType(StreamForm form) {
  switch (form) {
    case StreamForm::kEvents:
      return kEventStreamType;
    case StreamForm::kLines:
      return kNdjsonType;
    case StreamForm::kArray:
      return kJsonType;
  }
  return kJsonType;
}

}  // namespace

StreamForm AcceptedForm(absl::string_view accept) {
  for (absl::string_view item : absl::StrSplit(accept, ',')) {
    const absl::string_view type =
        absl::StripAsciiWhitespace(item.substr(0, item.find(';')));
    if (absl::EqualsIgnoreCase(type, kEventStreamType)) {
      return StreamForm::kEvents;
    }
    if (absl::EqualsIgnoreCase(type, kNdjsonType)) return StreamForm::kLines;
    if (absl::EqualsIgnoreCase(type, kJsonType)) return StreamForm::kArray;
  }
  return StreamForm::kArray;
}

HttpMessages::HttpMessages(const HttpContext& context, HttpStream& stream,
                           const TransportCall& call, StreamForm form,
                           const google::protobuf::Descriptor* request_type)
    : context_(context),
      stream_(stream),
      call_(call),
      form_(form),
      request_type_(request_type),
      in_bytes_(context.interceptor.request_bytes()),
      body_(context, stream, call, ContentType(form)) {
  if (request_type_ != nullptr) stream_.AllowPauses();
}

absl::Status HttpMessages::ReserveLine(size_t bytes) {
  absl::Status status =
      CheckLimit("request bytes", bytes, context_.message_bytes);
  if (status.ok()) status = HoldRequest(stream_, bytes);
  if (status.ok()) {
    status =
        in_bytes_.Resize("request bytes", JsonFormat::MemoryOfParsing(bytes));
  }
  return status;
}

Task<absl::StatusOr<bool>> HttpMessages::ReadLine(std::string* line) {
  size_t searched = 0;
  while (true) {
    const size_t end = in_.find('\n', searched);
    if (end != in_.npos) {
      *line = in_.substr(0, end);
      in_.erase(0, end + 1);
      co_return true;
    }
    searched = in_.size();
    std::string piece;
    const bool has_piece = co_await stream_.Read(&piece);
    if (!has_piece) {
      // The last line may lack its end.
      *line = std::exchange(in_, {});
      if (!stream_.read_status().ok()) co_return stream_.read_status();
      co_return !line->empty();
    }
    absl::Status status = ReserveLine(in_.size() + piece.size());
    if (!status.ok()) co_return status;
    in_.append(piece);
  }
}

Task<bool> HttpMessages::Read() {
  std::string line;
  do {
    const absl::StatusOr<bool> has_line = co_await ReadLine(&line);
    read_status_ = has_line.status();
    // The caller finds out itself why the stream has ended.
    if (absl::IsCancelled(read_status_)) co_return false;
    if (!has_line.ok()) co_return true;
    if (!*has_line) co_return false;
  } while (absl::StripAsciiWhitespace(line).empty());
  co_await EnterThreadFor(context_, stream_, line.size());
  wire_.clear();
  read_status_ = context_.json.ToWire(*request_type_, line, &wire_);
  if (in_.empty()) in_ = std::string();  // frees its memory
  // Cannot fail, because less is needed than before.
  (void)ReserveLine(in_.size());
  co_return true;
}

absl::Status HttpMessages::Parse(RequestReader* reader,
                                 google::protobuf::Message* request) const {
  if (!read_status_.ok()) return read_status_;
  const absl::string_view bytes = wire_;
  return reader->Read({&bytes, 1}, request);
}

std::string HttpMessages::Framed(absl::string_view json, bool is_error) const {
  switch (form_) {
    case StreamForm::kEvents:
      return absl::StrCat(is_error ? "event: error\n" : "", "data: ", json,
                          "\n\n");
    case StreamForm::kLines:
      return absl::StrCat(json, "\n");
    case StreamForm::kArray:
      return absl::StrCat(body_.has_begun() ? ",\n" : "[", json);
  }
  return "";
}

void HttpMessages::Serialize(const google::protobuf::Message& message) {
  std::string json;
  context_.json.Append(message, &json);
  body_.Append(Framed(json, /*is_error=*/false));
}

Task<bool> HttpMessages::End(const absl::Status& status) {
  if (absl::IsCancelled(status)) co_return false;
  if (!status.ok() && !body_.has_begun()) {
    co_return co_await SendError(context_, stream_, call_, status);
  }
  if (!status.ok()) {
    body_.Append(Framed(ErrorJson(status), /*is_error=*/true));
  }
  if (form_ == StreamForm::kArray) {
    body_.Append(body_.has_begun() ? "]" : "[]");
  }
  const bool may_keep = co_await body_.End();
  co_return may_keep&& status.ok();
}

}  // namespace lmserve
