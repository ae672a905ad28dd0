// SPDX-License-Identifier: Apache-2.0
#include "trainer/text/status_line.h"

#include <unistd.h>

#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"

namespace lmserve {
namespace {

void WriteToStderr(const std::string& text) {
  std::fputs(text.c_str(), stderr);
  std::fflush(stderr);
}

}  // namespace

void PrintMessage(absl::string_view text) {
  WriteToStderr(absl::StrCat(text, "\n"));
}

StatusLine::StatusLine() : is_terminal_(isatty(STDERR_FILENO) != 0) {}

void StatusLine::Show(absl::string_view text, bool is_last) const {
  if (!is_terminal_) return PrintMessage(text);
  constexpr char kEraseRestOfLine[] = "\x1b[K";
  WriteToStderr(
      absl::StrCat("\r", text, kEraseRestOfLine, is_last ? "\n" : ""));
}

}  // namespace lmserve
