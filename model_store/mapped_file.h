// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODEL_STORE_MAPPED_FILE_H_
#define LMSERVE_MODEL_STORE_MAPPED_FILE_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// The bytes of a file in the address space. The system reads pages when they
// are used and may drop them again, so a mapping needs no memory of the
// process. Only for files that nobody changes meanwhile, such as those that
// this process has written to a directory of its own: if a file gets shorter,
// an access ends the process. Files of a store are read by StoredFile.
//
// Owns the mapping. Movable. Any number of threads may read it.
class MappedFile {
 public:
  // Fails, naming the path, if the file cannot be opened or mapped.
  static absl::StatusOr<MappedFile> Open(const std::string& path);

  // Maps the first `size` bytes of an open file, which may be closed then.
  static absl::StatusOr<MappedFile> OfDescriptor(int descriptor, size_t size);

  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  absl::string_view bytes() const { return {data_, size_}; }

 private:
  MappedFile(const char* data, size_t size) : data_(data), size_(size) {}

  const char* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_MAPPED_FILE_H_
