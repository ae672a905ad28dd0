// SPDX-License-Identifier: Apache-2.0
#include "server/openai/completion_request.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/call/status.h"
#include "server/openai/json_object.h"
#include "server/openai/parse_prompts.h"

namespace lmserve {
namespace {

using nlohmann::json;

constexpr char kPrompt[] = "prompt";

// Sets *to, unless the member is absent.
template <typename Value, typename To>
absl::Status Take(const absl::StatusOr<std::optional<Value>>& member, To* to) {
  if (member.ok() && member->has_value()) *to = **member;
  return member.status();
}

absl::Status Take(absl::StatusOr<std::string> member, std::string* to) {
  if (member.ok()) *to = *std::move(member);
  return member.status();
}

absl::Status TakePrompts(const json& prompt,
                         std::vector<CompletionPrompt>* prompts) {
  if (prompt.is_null()) {
    prompts->emplace_back("");
    return absl::OkStatus();
  }
  auto parsed = ParsePrompts(kPrompt, prompt);
  if (parsed.ok()) *prompts = *std::move(parsed);
  return parsed.status();
}

absl::Status TakeStop(const json& stop, std::vector<std::string>* stops) {
  constexpr char kExpected[] = "a text that is not empty, or an array of these";
  const auto add = [&](const json& text) {
    if (!text.is_string() || text.get_ref<const std::string&>().empty()) {
      return UnexpectedJson("stop", kExpected, text);
    }
    stops->push_back(text.get_ref<const std::string&>());
    return absl::OkStatus();
  };
  if (stop.is_null()) return absl::OkStatus();
  if (!stop.is_array()) return add(stop);
  for (const json& text : stop) {
    absl::Status status = add(text);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

// Older clients send `logprobs` as for chats: true or false.
absl::Status TakeLogprobs(const JsonObject& body,
                          std::optional<uint32_t>* logprobs) {
  const json& member = body["logprobs"];
  if (member.is_boolean()) {
    return UnexpectedJson(
        "logprobs", "the number of words to return in each place", member);
  }
  return Take(body.Count("logprobs"), logprobs);
}

// What this server does not do must not be asked for.
absl::Status CheckSupported(const JsonObject& body, uint32_t choices) {
  absl::StatusOr<std::string> suffix = body.String("suffix");
  if (!suffix.ok()) return suffix.status();
  if (!suffix->empty()) {
    return InvalidField("suffix", "expected none: it is not supported");
  }
  for (const char* name : {"presence_penalty", "frequency_penalty"}) {
    const absl::StatusOr<std::optional<double>> penalty = body.Number(name);
    if (!penalty.ok()) return penalty.status();
    if (penalty->value_or(0) != 0) {
      return InvalidField(
          name, "expected 0: use repetition_penalty, which is supported");
    }
  }
  const absl::StatusOr<JsonObject> bias = body.Object("logit_bias");
  if (!bias.ok()) return bias.status();
  if (!body["logit_bias"].empty()) {
    return InvalidField("logit_bias", "expected none: it is not supported");
  }
  const absl::StatusOr<std::optional<uint32_t>> best_of = body.Count("best_of");
  if (!best_of.ok()) return best_of.status();
  if (best_of->value_or(1) != 1 && **best_of != choices) {
    return InvalidField("best_of", absl::StrCat("expected 1 or n, ", choices,
                                                ", found ", **best_of));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<CompletionRequest> ParseCompletionRequest(
    absl::string_view text) {
  const absl::StatusOr<JsonObject> parsed = JsonObject::Parse(text);
  if (!parsed.ok()) return parsed.status();
  const JsonObject& body = *parsed;
  const absl::StatusOr<JsonObject> stream_options =
      body.Object("stream_options");
  if (!stream_options.ok()) return stream_options.status();
  CompletionRequest request;
  for (const absl::Status& status :
       {Take(body.String("model"), &request.model),
        TakePrompts(body[kPrompt], &request.prompts),
        Take(body.String("source"), &request.source),
        Take(body.Count("max_tokens"), &request.max_tokens),
        Take(body.Count("n"), &request.choices),
        TakeLogprobs(body, &request.logprobs),
        Take(body.Bool("echo"), &request.echo),
        TakeStop(body["stop"], &request.stop),
        Take(body.Integer("seed"), &request.seed),
        Take(body.Number("temperature"), &request.temperature),
        Take(body.Number("top_p"), &request.top_p),
        Take(body.Count("top_k"), &request.top_k),
        Take(body.Number("repetition_penalty"), &request.repetition_penalty),
        Take(body.Bool("stream"), &request.stream),
        Take(stream_options->Bool("include_usage"), &request.include_usage)}) {
    if (!status.ok()) return status;
  }
  if (request.choices == 0) {
    return InvalidField("n", "expected a number of at least 1, found 0");
  }
  absl::Status status = CheckSupported(body, request.choices);
  if (!status.ok()) return status;
  return request;
}

}  // namespace lmserve
