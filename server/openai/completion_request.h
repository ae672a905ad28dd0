// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_OPENAI_COMPLETION_REQUEST_H_
#define LMSERVE_SERVER_OPENAI_COMPLETION_REQUEST_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/openai/parse_prompts.h"

namespace lmserve {

// A request of OpenAI's API for completions, and what other servers have added
// to it: top_k, repetition_penalty and, for translation models, source. A
// member that is absent or null has its default value.
struct CompletionRequest {
  std::string model;                      // may be empty
  std::vector<CompletionPrompt> prompts;  // at least one
  std::string source;
  uint32_t max_tokens = 16;
  uint32_t choices = 1;  // completions of each prompt: "n"
  // The number of words to return in the place of each word; nullopt: no
  // log-probabilities.
  std::optional<uint32_t> logprobs;
  bool echo = false;  // the completion begins with its prompt
  std::vector<std::string> stop;
  std::optional<uint64_t> seed;
  std::optional<double> temperature;
  std::optional<double> top_p;
  uint32_t top_k = 0;
  std::optional<double> repetition_penalty;
  bool stream = false;
  bool include_usage = false;  // in a stream
};

// Parses the body of a request. Members that are not known are ignored, as by
// OpenAI's clients. Returns INVALID_ARGUMENT, naming the member, for one that
// is not of its type or range, and for one that asks for what the server does
// not do: suffix, penalties, logit_bias, and best_of that is not 1 or n.
absl::StatusOr<CompletionRequest> ParseCompletionRequest(
    absl::string_view json);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_OPENAI_COMPLETION_REQUEST_H_
