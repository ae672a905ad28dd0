// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_OPENAI_COMPLETION_JSON_H_
#define LMSERVE_SERVER_OPENAI_COMPLETION_JSON_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/openai/completion.h"

// The answers of OpenAI's API for completions, as JSON on one line.
namespace lmserve {

// What all answers to a request begin with.
struct CompletionHead {
  std::string id;
  int64_t created = 0;  // seconds since 1970
  std::string model;    // NAME@VERSION
};

// Returns the head of the answers to a request: a new id and the time.
CompletionHead MakeCompletionHead(const LoadedVersion& model);

// Appends a choice, or a piece of one, as an element of "choices".
void AppendChoice(const CompletionRequest& request,
                  const CompletionPiece& choice, std::string* json);

// The most bytes that AppendChoice() appends: these, and PieceBytes() of each
// piece that the choice has.
inline constexpr size_t kChoiceBytes = 256;
size_t PieceBytes(const CompletionPiece& piece);

// Returns an answer whose elements of "choices" were written before. `usage` is
// what UsageJson() returned, "null", or empty for an answer without it.
std::string CompletionJson(const CompletionHead& head,
                           absl::string_view choices, absl::string_view usage);

// Returns the number of words of the prompts and of the completions.
std::string UsageJson(const Completion& completion);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_OPENAI_COMPLETION_JSON_H_
