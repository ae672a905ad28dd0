// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_OPENAI_TOKENIZER_H_
#define LMSERVE_SERVER_OPENAI_TOKENIZER_H_

#include <string>

#include "absl/status/statusor.h"
#include "models/vocabulary.h"
#include "server/call/limits.h"
#include "server/openai/json_object.h"

// How a model splits texts into words, in the form of vLLM's server, which
// lm-evaluation-harness asks for. All functions return JSON.
namespace lmserve {

// Answers {"prompt": TEXT}: the ids of its words, their number, and the most
// words of a text. Words that are not in the vocabulary, and <s> and </s>
// within a text, are <unk>; a text that is only <s> or </s> is that mark. With
// "add_special_tokens": true the ids begin with the one of <s>; with
// "return_token_strs": true the words are returned, too.
absl::StatusOr<std::string> TokenizeJson(const JsonObject& request,
                                         const Vocabulary& vocabulary,
                                         const Limits& limits);

// Answers {"tokens": IDS}: the words with a space between two.
absl::StatusOr<std::string> DetokenizeJson(const JsonObject& request,
                                           const Vocabulary& vocabulary,
                                           const Limits& limits);

// Returns the names of the marks and the most words of a text.
std::string TokenizerInfoJson(const Vocabulary& vocabulary,
                              const Limits& limits);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_OPENAI_TOKENIZER_H_
