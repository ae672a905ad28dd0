#ifndef LMSERVE_TRAINER_TEXT_LINE_READER_H_
#define LMSERVE_TRAINER_TEXT_LINE_READER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// Reads a text file line by line: plain, gzip or xz, which its first bytes
// tell; "-" is the standard input. One thread at a time.
class LineReader {
 public:
  static absl::StatusOr<std::unique_ptr<LineReader>> Open(
      const std::string& path);

  // The same over a text in memory, as tests like it.
  static std::unique_ptr<LineReader> FromString(std::string text);

  virtual ~LineReader();

  // Sets the next line, without its LF; the view lives until the next call.
  // False at the end, and where reading fails: ask status().
  bool Next(absl::string_view* line);

  const absl::Status& status() const { return status_; }

  // The number of the line that Next() gave last, from 1.
  uint64_t line_number() const { return line_number_; }

  const std::string& name() const { return name_; }

  // The share of the file that was read, 0 to 1; -1 where its size is unknown.
  virtual double Progress() const = 0;

 protected:
  explicit LineReader(std::string name) : name_(std::move(name)) {}

  // Appends some decoded bytes; none at the end. Errors name the file.
  virtual absl::Status Read(std::string* bytes) = 0;

 private:
  std::string name_;
  std::string buffer_;
  size_t position_ = 0;
  uint64_t line_number_ = 0;
  absl::Status status_;
};

// An INVALID_ARGUMENT error that names the file and the reader's last line.
absl::Status LineError(const LineReader& lines, absl::string_view problem);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_TEXT_LINE_READER_H_
