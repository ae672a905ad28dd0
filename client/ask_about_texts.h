// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_CLIENT_ASK_ABOUT_TEXTS_H_
#define LMSERVE_CLIENT_ASK_ABOUT_TEXTS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lmserve {

// Returns an error of the server with the name of the text that it is about
// instead of the text's place in the request: "line 7: ..." for "FIELD[2]:
// ...", if the third name is "line 7". Returns other errors unchanged.
absl::Status WithTextName(const absl::Status& status, absl::string_view field,
                          absl::Span<const std::string> names);

// How many words are sent in one call: enough to make the cost of a call small,
// and so few that results appear soon.
inline constexpr size_t kWordsPerCall = 50'000;

struct TextQuestion {
  // The field of the request that has the texts, as errors name it.
  absl::string_view field;
  // The most words that one call sends, unless a text has more.
  size_t words_per_call;
  bool as_json;
  // Sends texts, which are valid UTF-8 and have no sentence markers around
  // them, in one call.
  absl::FunctionRef<absl::Status(absl::Span<const std::string>)> send;
  // Prints the answer for text i of those that were sent last.
  absl::FunctionRef<void(size_t i, const std::string& text)> print;
};

// Reads texts, the arguments of a command or without arguments the lines of
// standard input, and asks about them in calls of several texts. For a text
// that is not valid UTF-8 prints so in the place of its answer. Returns whether
// there was an answer, or no text at all; or the first error of a call.
absl::StatusOr<bool> AskAboutTexts(const std::vector<std::string>& arguments,
                                   const TextQuestion& question);

}  // namespace lmserve

#endif  // LMSERVE_CLIENT_ASK_ABOUT_TEXTS_H_
