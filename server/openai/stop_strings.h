// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_OPENAI_STOP_STRINGS_H_
#define LMSERVE_SERVER_OPENAI_STOP_STRINGS_H_

#include <string>
#include <vector>

#include "server/openai/prompt_text.h"

namespace lmserve {

// Ends a text before the first of some strings, which may begin and end within
// words. Holds back the words that may be the beginning of such a string. A
// plain value.
class StopStrings {
 public:
  // None of the strings may be empty.
  explicit StopStrings(std::vector<std::string> stops);

  // Adds a word to the text. Moves the words that are certain to *tokens and
  // their text to the end of *text. Returns whether the text has ended; the
  // last word may then be in the text only in part.
  bool Add(CompletionToken token, std::vector<CompletionToken>* tokens,
           std::string* text);

  // Moves the words that are held back: nothing follows.
  void Finish(std::vector<CompletionToken>* tokens, std::string* text);

 private:
  // The place in held_text_ where a stop string begins, or npos.
  size_t Find() const;
  // The length of the longest end of held_text_ that may become a stop string.
  size_t Undecided() const;
  // Moves the words that end within the first `size` bytes, or with `cut`, that
  // begin there.
  void Release(size_t size, bool cut, std::vector<CompletionToken>* tokens,
               std::string* text);

  std::vector<std::string> stops_;
  std::vector<CompletionToken> held_;
  std::string held_text_;  // of held_
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_OPENAI_STOP_STRINGS_H_
