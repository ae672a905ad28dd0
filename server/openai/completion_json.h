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

// Collects the pieces of one choice and writes them as an element of "choices".
class ChoiceJson {
 public:
  explicit ChoiceJson(const CompletionRequest& request)
      : with_tokens_(request.logprobs.has_value()),
        with_top_(request.logprobs.value_or(0) > 0) {}

  void Add(CompletionPiece piece);

  // The most bytes that Append() writes.
  size_t MaxBytes() const { return max_bytes_; }

  void Append(std::string* json) const;

 private:
  void AppendTokens(std::string* json) const;

  bool with_tokens_;
  bool with_top_;
  CompletionPiece all_;
  size_t max_bytes_ = 256;
};

// Returns an answer whose elements of "choices" were written before. `usage` is
// what AppendUsage() wrote, "null", or empty for an answer without it.
std::string CompletionJson(const CompletionHead& head,
                           absl::string_view choices, absl::string_view usage);

// Returns the number of words of the prompts and of the completions.
std::string UsageJson(const Completion& completion);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_OPENAI_COMPLETION_JSON_H_
