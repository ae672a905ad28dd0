// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODEL_STORE_MAPPED_FILE_H_
#define LMSERVE_MODEL_STORE_MAPPED_FILE_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// A file that is mapped into memory for reading. Owns the mapping. The memory
// is shared with the page cache, so nobody may change the file while it is
// mapped. Movable and immutable.
class MappedFile {
 public:
  // Maps a regular file. Does not follow symbolic links. The errors do not name
  // the file.
  static absl::StatusOr<MappedFile> Open(const std::string& path);

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
