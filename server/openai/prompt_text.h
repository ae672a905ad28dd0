// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_OPENAI_PROMPT_TEXT_H_
#define LMSERVE_SERVER_OPENAI_PROMPT_TEXT_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lm/v1/language_model.pb.h"
#include "models/vocabulary.h"
#include "server/openai/completion_request.h"

namespace lmserve {

// A word of a completion or its prompt, as "logprobs" describes it.
struct CompletionToken {
  // The part of the text that is the word, with the white space before it.
  std::string text;
  uint64_t offset = 0;  // where it begins in the text, in code points
  // ln P of the word and, if they are wanted, of the most probable words in its
  // place, best first, and itself. nullopt: the mark of the beginning, which
  // the model does not predict.
  std::optional<float> log_prob = {};
  std::vector<std::pair<std::string, float>> top = {};
  // Whether the text of the completion contains it. It does not contain <s> and
  // </s>.
  bool is_text = true;
};

// The number of code points of a text in UTF-8.
uint64_t CodePoints(absl::string_view text);

// The text and the words of a prompt. A prompt of ids may begin with <s> or
// </s>, which stands for the beginning of the text: it is a token without a
// log-probability and changes nothing. A plain value.
class PromptText {
 public:
  // Returns INVALID_ARGUMENT if an id is not in the vocabulary.
  static absl::StatusOr<PromptText> Create(const Vocabulary& vocabulary,
                                           CompletionPrompt prompt);

  // The text, for the echo. Ids are their words with a space between two.
  const std::string& text() const { return text_; }

  // The white space after the last word.
  absl::string_view trailing_space() const;

  // Without the mark at the beginning.
  const lm::v1::Text& words() const { return words_; }

  // The tokens without their probabilities. White space belongs to the word
  // after it, and `trailing_space` to no token.
  std::vector<CompletionToken> Tokens() const;

  // The number of tokens.
  uint64_t size() const;

 private:
  PromptText() = default;

  std::string text_;
  std::string mark_;  // <s>, </s> or empty
  lm::v1::Text words_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_OPENAI_PROMPT_TEXT_H_
