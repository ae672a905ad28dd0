// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TEXT_IO_LINE_READER_H_
#define LMSERVE_TEXT_IO_LINE_READER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "text_io/byte_source.h"

namespace lmserve {

// Reads a text line by line: the one way in which all programs read texts,
// lists and ARPA files. Lines end with LF; a CR before it stays in the line,
// and one within a line is white space. A byte order mark at the start of a
// line is passed over, since files that have one may have been concatenated.
// Fails with INVALID_ARGUMENT for files that are not UTF-8 text with such lines
// but, for example, UTF-16, a zip archive, or text whose lines end with CR
// alone. It does not check that lines are valid UTF-8. Not thread-safe.
class LineReader {
 public:
  // Opens a file; "-" is the standard input. Detects gzip, xz, bzip2 and
  // Zstandard compression by the first bytes.
  static absl::StatusOr<std::unique_ptr<LineReader>> Open(
      const std::string& path);

  // Reads a text in memory.
  static std::unique_ptr<LineReader> FromString(std::string text);

  // Reads whole lines of a text, in memory, whose start another reader has
  // checked. `name` is the name of the text, and `lines_before` the number of
  // lines before these.
  static std::unique_ptr<LineReader> OfLines(std::string name,
                                             uint64_t lines_before,
                                             std::string lines);

  explicit LineReader(std::unique_ptr<ByteSource> source)
      : source_(std::move(source)) {}

  // Makes Next() fail with INVALID_ARGUMENT at a line of more than `bytes`
  // bytes, of which it then does not read the rest. Lines are not limited
  // otherwise, because a corpus may have all its text in one line.
  void LimitLines(size_t bytes) { max_line_bytes_ = bytes; }

  // Sets *line to the next line, without its LF. The view is valid until the
  // next call. Returns false at the end of the text and when reading fails;
  // status() tells the two apart.
  bool Next(absl::string_view* line);

  const absl::Status& status() const { return status_; }

  // The number of the line that Next() returned last, from 1.
  uint64_t line_number() const { return line_number_; }

  // Whether that line ends with an LF; the last line of a text may not.
  bool has_line_end() const { return has_line_end_; }

  const std::string& name() const { return source_->name(); }

  // The fraction of the file that was read, from 0 to 1; -1 if its size is
  // unknown.
  double Progress() const { return source_->Progress(); }

 private:
  // Reads the start of the text and checks it.
  absl::Status Begin();

  const std::unique_ptr<ByteSource> source_;
  size_t max_line_bytes_ = std::string::npos;
  std::string buffer_;
  size_t position_ = 0;
  uint64_t line_number_ = 0;
  bool begun_ = false;
  bool has_line_end_ = false;
  absl::Status status_;
};

// Returns an INVALID_ARGUMENT error with the name of the file and the number of
// the line that was read last.
absl::Status LineError(const LineReader& lines, absl::string_view problem);

}  // namespace lmserve

#endif  // LMSERVE_TEXT_IO_LINE_READER_H_
