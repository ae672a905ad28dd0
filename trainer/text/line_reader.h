// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_TEXT_LINE_READER_H_
#define LMSERVE_TRAINER_TEXT_LINE_READER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// Reads a text line by line. Not thread-safe.
class LineReader {
 public:
  // Opens a file; "-" is the standard input. Detects gzip and xz compression by
  // the first bytes.
  static absl::StatusOr<std::unique_ptr<LineReader>> Open(
      const std::string& path);

  // Reads a text in memory, for tests.
  static std::unique_ptr<LineReader> FromString(std::string text);

  virtual ~LineReader();

  // Sets *line to the next line, without its LF. The view is valid until the
  // next call. Returns false at the end of the text and when reading fails;
  // status() tells the two apart.
  bool Next(absl::string_view* line);

  const absl::Status& status() const { return status_; }

  // The number of the line that Next() returned last, from 1.
  uint64_t line_number() const { return line_number_; }

  const std::string& name() const { return name_; }

  // The fraction of the file that was read, from 0 to 1; -1 if its size is
  // unknown.
  virtual double Progress() const = 0;

 protected:
  explicit LineReader(std::string name) : name_(std::move(name)) {}

  // Appends some decompressed bytes, or none at the end of the text. Error
  // messages contain the name of the file.
  virtual absl::Status Read(std::string* bytes) = 0;

 private:
  std::string name_;
  std::string buffer_;
  size_t position_ = 0;
  uint64_t line_number_ = 0;
  absl::Status status_;
};

// Returns an INVALID_ARGUMENT error with the name of the file and the number of
// the line that was read last.
absl::Status LineError(const LineReader& lines, absl::string_view problem);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_TEXT_LINE_READER_H_
