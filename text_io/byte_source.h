// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TEXT_IO_BYTE_SOURCE_H_
#define LMSERVE_TEXT_IO_BYTE_SOURCE_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace lmserve {

// The bytes of a file, decompressed. Not thread-safe.
class ByteSource {
 public:
  // Opens a file; "-" is the standard input. Recognizes gzip, xz, bzip2 and
  // Zstandard by the first bytes, for which it waits; a file of any of them may
  // be several compressed files one after the other.
  static absl::StatusOr<std::unique_ptr<ByteSource>> Open(
      const std::string& path);

  // Returns bytes in memory, as they are.
  static std::unique_ptr<ByteSource> FromString(std::string bytes,
                                                std::string name = "text");

  virtual ~ByteSource() = default;

  // Appends some bytes, or none at the end. The message of an error has the
  // name of the file.
  virtual absl::Status Read(std::string* bytes) = 0;

  // The fraction of the file that was read, from 0 to 1; -1 if its size is
  // unknown.
  virtual double Progress() const = 0;

  // The path, "standard input", or the name of bytes in memory.
  const std::string& name() const { return name_; }

 protected:
  explicit ByteSource(std::string name) : name_(std::move(name)) {}

 private:
  const std::string name_;
};

// Returns all bytes of a file, decompressed like those of ByteSource::Open().
// Fails with INVALID_ARGUMENT if they are more than `max_bytes`, of which it
// then does not read the rest.
absl::StatusOr<std::string> ReadAllBytes(const std::string& path,
                                         size_t max_bytes = std::string::npos);

}  // namespace lmserve

#endif  // LMSERVE_TEXT_IO_BYTE_SOURCE_H_
