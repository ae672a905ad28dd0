// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_CLIENT_TEXT_SOURCE_H_
#define LMSERVE_CLIENT_TEXT_SOURCE_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace lmserve {

// Reads texts one by one: the arguments of a command or, without arguments, the
// lines of standard input. Returns each as it is, blank ones too. Not
// thread-safe.
class ArgumentsOrLines {
 public:
  explicit ArgumentsOrLines(std::vector<std::string> arguments)
      : arguments_(std::move(arguments)) {}

  // Returns false at the end.
  bool Next(std::string* text);

  bool reads_lines() const { return arguments_.empty(); }

 private:
  const std::vector<std::string> arguments_;
  size_t next_ = 0;
};

// Reads texts like ArgumentsOrLines, but skips and counts blank ones and
// removes a carriage return from the end of a line. Not thread-safe.
class TextSource {
 public:
  explicit TextSource(std::vector<std::string> arguments)
      : texts_(std::move(arguments)) {}

  // Returns false at the end.
  bool Next(std::string* text);

  // The number of blank texts that were skipped.
  uint64_t blank() const { return blank_; }

  // The number of texts read so far, blank ones included; so it is the line
  // number, from 1, of the last text that Next() returned.
  uint64_t number() const { return read_; }

 private:
  ArgumentsOrLines texts_;
  uint64_t blank_ = 0;
  uint64_t read_ = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_CLIENT_TEXT_SOURCE_H_
