// SPDX-License-Identifier: Apache-2.0
#include "server/openai/completion_json.h"

#include <array>
#include <charconv>
#include <cmath>
#include <iterator>
#include <utility>

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

}  // namespace

CompletionHead MakeCompletionHead(const LoadedVersion& model) {
  absl::BitGen random;
  return {.id = absl::StrCat("cmpl-", absl::Hex(absl::Uniform<uint64_t>(random),
                                                absl::kZeroPad16)),
          .created = absl::ToUnixSeconds(absl::Now()),
          .model = absl::StrCat(model.name(), "@", model.version())};
}

void ChoiceJson::Add(CompletionPiece piece) {
  all_.choice = piece.choice;
  all_.text += piece.text;
  all_.finish_reason = std::move(piece.finish_reason);
  max_bytes_ += kMaxExpansion * piece.text.size();
  for (const CompletionToken& token : piece.tokens) {
    max_bytes_ += kMaxExpansion * token.text.size() + 2 * kNumberBytes;
    for (const auto& [word, log_prob] : token.top) {
      max_bytes_ += kMaxExpansion * word.size() + kNumberBytes;
    }
  }
  std::move(piece.tokens.begin(), piece.tokens.end(),
            std::back_inserter(all_.tokens));
}

void ChoiceJson::AppendTokens(std::string* json) const {
  using Token = CompletionToken;
  json->append("{\"tokens\":");
  AppendArray(all_.tokens, json,
              [&](const Token& token) { AppendJsonString(token.text, json); });
  json->append(",\"token_logprobs\":");
  AppendArray(all_.tokens, json, [&](const Token& token) {
    if (token.log_prob.has_value()) {
      AppendNumber(*token.log_prob, json);
    } else {
      json->append("null");
    }
  });
  json->append(",\"top_logprobs\":");
  if (with_top_) {
    AppendArray(all_.tokens, json, [&](const Token& token) {
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
  AppendArray(all_.tokens, json,
              [&](const Token& token) { absl::StrAppend(json, token.offset); });
  json->push_back('}');
}

void ChoiceJson::Append(std::string* json) const {
  absl::StrAppend(json, "{\"index\":", all_.choice,
                  ",\"text\":", Quoted(all_.text), ",\"logprobs\":");
  if (with_tokens_) {
    AppendTokens(json);
  } else {
    json->append("null");
  }
  absl::StrAppend(
      json, ",\"finish_reason\":",
      all_.finish_reason.empty() ? "null" : Quoted(all_.finish_reason), "}");
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
