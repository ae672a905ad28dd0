// SPDX-License-Identifier: Apache-2.0
#include "server/openai/embedding_request.h"

#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "server/call/status.h"
#include "server/openai/json_object.h"
#include "server/openai/parse_prompts.h"

namespace lmserve {
namespace {

absl::Status TakeInput(const nlohmann::json& input,
                       lm::v1::EmbedRequest* embed) {
  absl::StatusOr<std::vector<CompletionPrompt>> texts =
      ParsePrompts("input", input);
  if (!texts.ok()) return texts.status();
  if (input.is_array() && input.empty()) {
    return InvalidField("input", "expected at least one text, found none");
  }
  for (CompletionPrompt& text : *texts) {
    lm::v1::Text& message = *embed->add_texts();
    if (auto* plain = std::get_if<std::string>(&text)) {
      message.set_text(std::move(*plain));
    } else {
      const auto& ids = std::get<std::vector<uint32_t>>(text);
      message.mutable_ids()->mutable_ids()->Add(ids.begin(), ids.end());
    }
  }
  return absl::OkStatus();
}

absl::Status TakePooling(const JsonObject& body, lm::v1::EmbedRequest* embed) {
  const absl::StatusOr<std::string> name = body.String("pooling");
  if (!name.ok()) return name.status();
  if (*name == "max") {
    embed->set_pooling(lm::v1::POOLING_MAX);
  } else if (*name == "last") {
    embed->set_pooling(lm::v1::POOLING_LAST);
  } else if (name->empty() || *name == "mean") {
    embed->set_pooling(lm::v1::POOLING_MEAN);
  } else {
    return UnexpectedJson("pooling", "max, mean or last", body["pooling"]);
  }
  return absl::OkStatus();
}

absl::Status TakeEncoding(const JsonObject& body, bool* as_base64) {
  const absl::StatusOr<std::string> name = body.String("encoding_format");
  if (!name.ok()) return name.status();
  if (!name->empty() && *name != "float" && *name != "base64") {
    return UnexpectedJson("encoding_format", "float or base64",
                          body["encoding_format"]);
  }
  *as_base64 = *name == "base64";
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<EmbeddingRequest> ParseEmbeddingRequest(absl::string_view text) {
  const absl::StatusOr<JsonObject> body = JsonObject::Parse(text);
  if (!body.ok()) return body.status();
  EmbeddingRequest request;
  absl::StatusOr<std::string> model = body->String("model");
  const absl::StatusOr<std::optional<bool>> normalize = body->Bool("normalize");
  const absl::StatusOr<std::optional<uint32_t>> dimensions =
      body->Count("dimensions");
  for (const absl::Status& status :
       {model.status(), TakeInput((*body)["input"], &request.embed),
        TakePooling(*body, &request.embed), normalize.status(),
        dimensions.status(), TakeEncoding(*body, &request.as_base64)}) {
    if (!status.ok()) return status;
  }
  request.embed.set_model(*std::move(model));
  request.embed.set_normalize(normalize->value_or(true));
  request.dimensions = *dimensions;
  return request;
}

}  // namespace lmserve
