// SPDX-License-Identifier: Apache-2.0
#include "server/openai/completion_json.h"

#include <array>
#include <charconv>
#include <cmath>
#include <vector>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/substitute.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/http/json_printer.h"

namespace lmserve {
namespace {

// A character may be printed as \u003c.
constexpr size_t kMaxExpansion = 6;
// JSON has no infinities.
constexpr char kMinusInfinity[] = "-9999.0";

// A number and what is around it.
constexpr size_t kNumberBytes = 32;

std::string Quoted(absl::string_view text) {
  std::string quoted;
  AppendJsonString(text, &quoted);
  return quoted;
}

// Appends a number with as few digits as give the same float when they are
// read.
void AppendNumber(float number, std::string* json) {
  if (!std::isfinite(number)) {
    json->append(kMinusInfinity);
    return;
  }
  std::array<char, kNumberBytes> digits;
  const auto end =
      std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
  json->append(digits.data(), end);
}

// Appends an array. `append` appends an element.
template <typename Elements, typename Append>
void AppendArray(const Elements& elements, std::string* json,
                 const Append& append) {
  json->push_back('[');
  bool is_first = true;
  for (const auto& element : elements) {
    if (!is_first) json->push_back(',');
    is_first = false;
    append(element);
  }
  json->push_back(']');
}

// Appends "logprobs". `with_top`: with the most probable words of each place.
void AppendTokens(const std::vector<CompletionToken>& tokens, bool with_top,
                  std::string* json) {
  using Token = CompletionToken;
  json->append("{\"tokens\":");
  AppendArray(tokens, json,
              [&](const Token& token) { AppendJsonString(token.text, json); });
  json->append(",\"token_logprobs\":");
  AppendArray(tokens, json, [&](const Token& token) {
    if (token.log_prob.has_value()) {
      AppendNumber(*token.log_prob, json);
    } else {
      json->append("null");
    }
  });
  json->append(",\"top_logprobs\":");
  if (with_top) {
    AppendArray(tokens, json, [&](const Token& token) {
      if (!token.log_prob.has_value()) {
        json->append("null");
        return;
      }
      json->push_back('{');
      for (size_t i = 0; i < token.top.size(); ++i) {
        if (i > 0) json->push_back(',');
        AppendJsonString(token.top[i].first, json);
        json->push_back(':');
        AppendNumber(token.top[i].second, json);
      }
      json->push_back('}');
    });
  } else {
    json->append("null");
  }
  json->append(",\"text_offset\":");
  AppendArray(tokens, json,
              [&](const Token& token) { absl::StrAppend(json, token.offset); });
  json->push_back('}');
}

}  // namespace

CompletionHead MakeCompletionHead(const LoadedVersion& model) {
  absl::BitGen random;
  return {.id = absl::StrCat("cmpl-", absl::Hex(absl::Uniform<uint64_t>(random),
                                                absl::kZeroPad16)),
          .created = absl::ToUnixSeconds(absl::Now()),
          .model = absl::StrCat(model.name(), "@", model.version())};
}

void AppendChoice(const CompletionRequest& request,
                  const CompletionPiece& choice, std::string* json) {
  absl::StrAppend(json, "{\"index\":", choice.choice,
                  ",\"text\":", Quoted(choice.text), ",\"logprobs\":");
  if (request.logprobs.has_value()) {
    AppendTokens(choice.tokens, *request.logprobs > 0, json);
  } else {
    json->append("null");
  }
  absl::StrAppend(
      json, ",\"finish_reason\":",
      choice.finish_reason.empty() ? "null" : Quoted(choice.finish_reason),
      "}");
}

size_t PieceBytes(const CompletionPiece& piece) {
  size_t bytes = kMaxExpansion * piece.text.size();
  for (const CompletionToken& token : piece.tokens) {
    bytes += kMaxExpansion * token.text.size() + 2 * kNumberBytes;
    for (const auto& [word, log_prob] : token.top) {
      bytes += kMaxExpansion * word.size() + kNumberBytes;
    }
  }
  return bytes;
}

std::string CompletionJson(const CompletionHead& head,
                           absl::string_view choices, absl::string_view usage) {
  return absl::StrCat(
      "{\"id\":", Quoted(head.id),
      ",\"object\":\"text_completion\",\"created\":", head.created,
      ",\"model\":", Quoted(head.model), ",\"choices\":[", choices, "]",
      usage.empty() ? "" : ",\"usage\":", usage, "}");
}

std::string UsageJson(const Completion& completion) {
  return absl::Substitute(
      R"({"prompt_tokens":$0,"completion_tokens":$1,"total_tokens":$2})",
      completion.prompt_words(), completion.drawn_words(),
      completion.prompt_words() + completion.drawn_words());
}

}  // namespace lmserve
