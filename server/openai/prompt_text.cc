// SPDX-License-Identifier: Apache-2.0
#include "server/openai/prompt_text.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "models/text.h"
#include "server/call/status.h"

namespace lmserve {

uint64_t CodePoints(absl::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xc0) != 0x80;
  });
}

absl::StatusOr<PromptText> PromptText::Create(const Vocabulary& vocabulary,
                                              CompletionPrompt prompt) {
  PromptText created;
  if (auto* text = std::get_if<std::string>(&prompt)) {
    created.words_.set_text(*text);
    created.text_ = *std::move(text);
    return created;
  }
  const auto& ids = std::get<std::vector<uint32_t>>(prompt);
  size_t i = 0;
  if (!ids.empty() && (ids[0] == vocabulary.begin_sentence() ||
                       ids[0] == vocabulary.end_sentence())) {
    created.mark_ = std::string(vocabulary.word(ids[0]));
    i = 1;
  }
  lm::v1::WordIdList* words = created.words_.mutable_ids();
  for (; i < ids.size(); ++i) {
    if (ids[i] >= vocabulary.size()) {
      return InvalidField(
          "prompt", absl::StrCat("word ", i, ": expected a word id below ",
                                 vocabulary.size(), ", found ", ids[i]));
    }
    words->add_ids(ids[i]);
    absl::StrAppend(&created.text_, created.text_.empty() ? "" : " ",
                    vocabulary.word(ids[i]));
  }
  return created;
}

absl::string_view PromptText::trailing_space() const {
  size_t begin = text_.size();
  while (begin > 0 && IsSpace(text_[begin - 1])) --begin;
  return absl::string_view(text_).substr(begin);
}

std::vector<CompletionToken> PromptText::Tokens() const {
  std::vector<CompletionToken> tokens;
  if (!mark_.empty()) tokens.push_back({.text = mark_, .is_text = false});
  const char* end = text_.data();
  uint64_t offset = 0;
  ForEachWord(text_, [&](absl::string_view word) {
    const char* word_end = word.data() + word.size();
    tokens.push_back({.text = std::string(end, word_end), .offset = offset});
    offset += CodePoints(tokens.back().text);
    end = word_end;
  });
  return tokens;
}

uint64_t PromptText::size() const {
  uint64_t words = mark_.empty() ? 0 : 1;
  ForEachWord(text_, [&](absl::string_view) { ++words; });
  return words;
}

}  // namespace lmserve
