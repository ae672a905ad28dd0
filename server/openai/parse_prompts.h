// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_OPENAI_PARSE_PROMPTS_H_
#define LMSERVE_SERVER_OPENAI_PARSE_PROMPTS_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// A text, or the ids of its words.
using CompletionPrompt = std::variant<std::string, std::vector<uint32_t>>;

// Reads the texts of a request, which have one of four forms in OpenAI's API: a
// text, an array of texts, an array of word ids, or an array of these. An empty
// array is a text without words. Returns INVALID_ARGUMENT, naming `field`, for
// anything else.
absl::StatusOr<std::vector<CompletionPrompt>> ParsePrompts(
    absl::string_view field, const nlohmann::json& prompts);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_OPENAI_PARSE_PROMPTS_H_
