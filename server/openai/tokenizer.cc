// SPDX-License-Identifier: Apache-2.0
#include "server/openai/tokenizer.h"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "models/text.h"
#include "server/call/status.h"

namespace lmserve {
namespace {

using nlohmann::ordered_json;

bool IsMark(absl::string_view word) {
  return word == kBeginSentence || word == kEndSentence;
}

std::vector<WordId> Encode(absl::string_view text, bool with_begin,
                           const Vocabulary& vocabulary) {
  std::vector<WordId> ids;
  if (with_begin) ids.push_back(vocabulary.begin_sentence());
  if (IsMark(text)) {
    ids.push_back(vocabulary.Find(text));
    return ids;
  }
  ForEachWord(text, [&](absl::string_view word) {
    ids.push_back(IsMark(word) ? vocabulary.unknown() : vocabulary.Find(word));
  });
  return ids;
}

}  // namespace

absl::StatusOr<std::string> TokenizeJson(const JsonObject& request,
                                         const Vocabulary& vocabulary,
                                         const Limits& limits) {
  if (!request["prompt"].is_string()) {
    return UnexpectedJson("prompt", "a text", request["prompt"]);
  }
  const absl::StatusOr<std::string> text = request.String("prompt");
  const auto add_begin = request.Bool("add_special_tokens");
  const auto with_words = request.Bool("return_token_strs");
  for (const absl::Status& status :
       {text.status(), add_begin.status(), with_words.status()}) {
    if (!status.ok()) return status;
  }
  const std::vector<WordId> ids =
      Encode(*text, add_begin->value_or(false), vocabulary);
  absl::Status status =
      CheckLimit("words in the request", ids.size(), limits.words);
  if (!status.ok()) return status;
  ordered_json answer = {{"count", ids.size()},
                         {"max_model_len", limits.words_per_text},
                         {"tokens", ids}};
  if (with_words->value_or(false)) {
    ordered_json& words = answer["token_strs"] = ordered_json::array();
    for (WordId id : ids) words.push_back(std::string(vocabulary.word(id)));
  }
  return DumpJson(answer);
}

absl::StatusOr<std::string> DetokenizeJson(const JsonObject& request,
                                           const Vocabulary& vocabulary,
                                           const Limits& limits) {
  const absl::StatusOr<std::vector<uint32_t>> ids =
      ParseIds("tokens", request["tokens"]);
  if (!ids.ok()) return ids.status();
  absl::Status status = CheckLimit("tokens", ids->size(), limits.words);
  if (!status.ok()) return status;
  std::string text;
  for (uint32_t id : *ids) {
    if (id >= vocabulary.size()) {
      return InvalidField(
          "tokens", absl::StrCat("expected word ids below ", vocabulary.size(),
                                 ", found ", id));
    }
    absl::StrAppend(&text, text.empty() ? "" : " ", vocabulary.word(id));
  }
  return DumpJson({{"prompt", text}});
}

std::string TokenizerInfoJson(const Vocabulary& vocabulary,
                              const Limits& limits) {
  return DumpJson({{"tokenizer_class", "whitespace"},
                   {"bos_token", std::string(kBeginSentence)},
                   {"eos_token", std::string(kEndSentence)},
                   {"unk_token", std::string(kUnknownWord)},
                   {"vocab_size", vocabulary.size()},
                   {"model_max_length", limits.words_per_text}});
}

}  // namespace lmserve
