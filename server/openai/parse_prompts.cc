// SPDX-License-Identifier: Apache-2.0
#include "server/openai/parse_prompts.h"

#include <utility>

#include "server/openai/json_object.h"

namespace lmserve {
namespace {

using nlohmann::json;

constexpr char kExpected[] =
    "a text, an array of texts, an array of word ids, or an array of these";

absl::StatusOr<CompletionPrompt> ParsePrompt(absl::string_view field,
                                             const json& prompt) {
  if (prompt.is_string()) return prompt.get_ref<const std::string&>();
  if (!prompt.is_array()) return UnexpectedJson(field, kExpected, prompt);
  absl::StatusOr<std::vector<uint32_t>> ids = ParseIds(field, prompt);
  if (!ids.ok()) return ids.status();
  return *std::move(ids);
}

}  // namespace

absl::StatusOr<std::vector<CompletionPrompt>> ParsePrompts(
    absl::string_view field, const json& prompts) {
  const bool is_list =
      prompts.is_array() && !prompts.empty() && !prompts.front().is_number();
  std::vector<CompletionPrompt> parsed;
  const auto add = [&](const json& prompt) {
    absl::StatusOr<CompletionPrompt> one = ParsePrompt(field, prompt);
    if (one.ok()) parsed.push_back(*std::move(one));
    return one.status();
  };
  if (!is_list) {
    absl::Status status = add(prompts);
    if (!status.ok()) return status;
    return parsed;
  }
  for (const json& prompt : prompts) {
    absl::Status status = add(prompt);
    if (!status.ok()) return status;
  }
  return parsed;
}

}  // namespace lmserve
