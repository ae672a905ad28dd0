// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_TEXT_STATUS_LINE_H_
#define LMSERVE_TRAINER_TEXT_STATUS_LINE_H_

#include "absl/strings/string_view.h"

namespace lmserve {

// Writes a line of text and a line feed to the standard error.
void PrintMessage(absl::string_view text);

// A line on the standard error that shows how far a long operation has come. On
// a terminal each line replaces the line before it; elsewhere, as in a log
// file, every line is kept. Not thread-safe.
class StatusLine {
 public:
  StatusLine();

  bool is_terminal() const { return is_terminal_; }

  // Shows a line. The last line of an operation stays on a terminal.
  void Show(absl::string_view text, bool is_last) const;

 private:
  const bool is_terminal_;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_TEXT_STATUS_LINE_H_
