// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_CLIENT_TEXT_SOURCE_H_
#define LMSERVE_CLIENT_TEXT_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "text_io/line_reader.h"

namespace lmserve {

// Reads texts one by one: the arguments of a command or, without arguments, the
// lines of standard input, which may be compressed (see LineReader). Returns
// each text as it is, blank ones too. Not thread-safe.
class ArgumentsOrLines {
 public:
  explicit ArgumentsOrLines(std::vector<std::string> arguments)
      : arguments_(std::move(arguments)), reads_lines_(arguments_.empty()) {}

  // Reads lines of another source, for tests.
  explicit ArgumentsOrLines(std::unique_ptr<LineReader> lines)
      : reads_lines_(true), lines_(std::move(lines)) {}

  // Returns false at the end, and after an error, which status() returns.
  bool Next(std::string* text);

  const absl::Status& status() const { return status_; }
  bool reads_lines() const { return reads_lines_; }

 private:
  const std::vector<std::string> arguments_;
  const bool reads_lines_;
  size_t next_ = 0;
  std::unique_ptr<LineReader> lines_;  // null before the first line
  absl::Status status_;
};

// Reads texts like ArgumentsOrLines, but removes a carriage return from the end
// of a line, and counts the texts. Not thread-safe.
class TextSource {
 public:
  explicit TextSource(std::vector<std::string> arguments)
      : texts_(std::move(arguments)) {}
  explicit TextSource(std::unique_ptr<LineReader> lines)
      : texts_(std::move(lines)) {}

  // Returns false at the end, and after an error, which status() returns.
  bool Next(std::string* text);

  // Like Next(), but skips blank texts.
  bool NextNotBlank(std::string* text);

  const absl::Status& status() const { return texts_.status(); }

  // The number of texts read so far, blank ones included; so it is the line
  // number, from 1, of the last text that Next() returned.
  uint64_t number() const { return read_; }

  // Returns "line N" or, for arguments, "text N", for messages.
  std::string Name(uint64_t number) const;

 private:
  ArgumentsOrLines texts_;
  uint64_t read_ = 0;
};

// Prints a note to the standard error if the only text is the name of an
// existing file, because the user may have meant the lines of the file. `use`
// says how to read them, such as "< FILE".
void NoteIfFile(const std::vector<std::string>& texts, absl::string_view use);

}  // namespace lmserve

#endif  // LMSERVE_CLIENT_TEXT_SOURCE_H_
