// SPDX-License-Identifier: Apache-2.0
#include "server/http/http_body.h"

#include "absl/strings/str_cat.h"
#include "server/http/http_reply.h"
#include "server/http/http_response.h"

namespace lmserve {

void HttpBody::Append(absl::string_view bytes) {
  const bool in_chunks = !stream_.request().is_http_1_0;
  if (!has_begun_) {
    has_begun_ = true;
    const HttpResponseHead head =
        ReplyHead(context_, stream_, call_, 200, content_type_);
    out_ = StreamHead(head, in_chunks, !stream_.CanKeep());
    if (content_type_ == kEventStreamType) {
      constexpr absl::string_view kComment = ":\n\n";
      stream_.SetHeartbeat(in_chunks ? Chunk(kComment) : std::string(kComment));
    }
  }
  if (bytes.empty()) return;
  absl::StrAppend(&out_, in_chunks ? Chunk(bytes) : std::string(bytes));
}

Task<bool> HttpBody::End() {
  Append("");
  const bool in_chunks = !stream_.request().is_http_1_0;
  if (in_chunks) absl::StrAppend(&out_, kLastChunk);
  const bool written = co_await Write();
  co_return written&& in_chunks;
}

}  // namespace lmserve
