// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TEXT_IO_OUTPUT_FILE_H_
#define LMSERVE_TEXT_IO_OUTPUT_FILE_H_

#include <memory>
#include <ostream>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace lmserve {

// A file to write, compressed as its name says: .gz, .xz, .bz2 or .zst. A file
// that exists already is replaced as a whole by Close(), and stays as it is
// without it; a link is followed, and a device is written at once. Not
// thread-safe.
class OutputFile {
 public:
  // "-" is the standard output, not compressed, which is written by std::cout.
  // INVALID_ARGUMENT if the name is
  // that of another compression.
  static absl::StatusOr<std::unique_ptr<OutputFile>> Open(
      const std::string& path);

  virtual ~OutputFile() = default;

  // What is written here goes into the file.
  virtual std::ostream& stream() = 0;

  // Ends the compressed data and closes the file. Returns an error with the
  // path if any write has failed.
  virtual absl::Status Close() = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_TEXT_IO_OUTPUT_FILE_H_
