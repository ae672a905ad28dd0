// SPDX-License-Identifier: Apache-2.0
#include "server/openai/completion_stream.h"

#include "absl/strings/str_cat.h"
#include "server/http/http_reply.h"
#include "server/openai/openai_error.h"

namespace lmserve {
namespace {

// Of what is around a choice.
constexpr size_t kHeadBytes = 512;

}  // namespace

CompletionStream::CompletionStream(const HttpContext& context,
                                   HttpStream& stream,
                                   const TransportCall& call,
                                   const Completion& completion)
    : context_(context),
      stream_(stream),
      call_(call),
      completion_(completion),
      head_(MakeCompletionHead(completion.model())),
      body_(context, stream, call, kEventStreamType) {}

size_t CompletionStream::BytesOf(const CompletionPiece& piece) const {
  return kHeadBytes + kChoiceBytes + PieceBytes(piece);
}

void CompletionStream::AppendEvent(absl::string_view data) {
  body_.Append(absl::StrCat("data: ", data, "\n\n"));
}

void CompletionStream::Serialize(const CompletionPiece& piece) {
  std::string choices;
  AppendChoice(completion_.request(), piece, &choices);
  AppendEvent(CompletionJson(
      head_, choices, completion_.request().include_usage ? "null" : ""));
}

Task<bool> CompletionStream::End(const absl::Status& status) {
  if (absl::IsCancelled(status)) co_return false;
  if (!status.ok()) {
    std::string error = OpenAiErrorJson(status);
    if (!body_.has_begun()) {
      co_return co_await SendError(context_, stream_, call_, status,
                                   std::move(error));
    }
    body_.Append("event: error\n");
    AppendEvent(error);
  } else {
    if (completion_.request().include_usage) {
      AppendEvent(CompletionJson(head_, "", UsageJson(completion_)));
    }
    AppendEvent("[DONE]");
  }
  const bool may_keep = co_await body_.End();
  co_return may_keep&& status.ok();
}

}  // namespace lmserve
