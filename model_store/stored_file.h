// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODEL_STORE_STORED_FILE_H_
#define LMSERVE_MODEL_STORE_STORED_FILE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model_store/mapped_file.h"
#include "model_store/private_memory.h"

namespace lmserve {

// Which symbolic links are followed to a file.
struct LinkPolicy {
  // If false, a file that is reached through a link must be in one of these
  // directories or below them. They may be links themselves.
  bool follow_all = true;
  std::vector<std::string> directories = {};
};

// The size of files that are read as a whole before they are checked: manifest,
// aliases, self-test and reranker (see FORMAT.md), and the server's files of
// tokens and TLS.
inline constexpr uint64_t kMaxSmallFileSize = 1 << 20;

// A regular file that is open for reading. Its bytes are copied into private
// memory, not mapped: others may truncate or overwrite the file, or its
// device may fail, and a mapping would turn that into a signal or into other
// bytes than those that were verified. Map() is for programs that are told that
// nobody does. Owns the descriptor. The errors do not
// name the file. For one thread at a time.
class StoredFile {
 public:
  // Opens a file without waiting: a FIFO or a device is refused. NOT_FOUND if
  // the file does not exist; DATA_LOSS if it is no regular file, or if the
  // policy forbids a link to it.
  static absl::StatusOr<StoredFile> Open(const std::string& path,
                                         const LinkPolicy& links = {});

  StoredFile(StoredFile&& other) noexcept;
  StoredFile& operator=(StoredFile&& other) = delete;
  ~StoredFile();

  // The size in bytes when the file was opened.
  uint64_t size() const { return size_; }

  // Reads the file. Calls `on_piece` with one piece after the other, of at most
  // a few MiB, and before the first one with an empty piece; stops with its
  // error if it fails. DATA_LOSS if the file has another size than size();
  // UNAVAILABLE if the device fails; RESOURCE_EXHAUSTED if memory does not
  // suffice. The memory is read-only.
  absl::StatusOr<PrivateMemory> Read(
      absl::FunctionRef<absl::Status(absl::string_view)> on_piece) const;

  // Maps the file and calls `on_piece` as Read() does. Other processes that map
  // the file share its memory. UNAVAILABLE if it cannot be mapped. The caller
  // must know that nobody changes the file while it is mapped.
  absl::StatusOr<MappedFile> Map(
      absl::FunctionRef<absl::Status(absl::string_view)> on_piece) const;

  // Like Read(), but keeps only one piece in memory: for files that are copied
  // or checked and not used.
  absl::Status ReadPieces(
      absl::FunctionRef<absl::Status(absl::string_view)> on_piece) const;

 private:
  StoredFile(int descriptor, uint64_t size)
      : descriptor_(descriptor), size_(size) {}

  // Reads the file, each piece to the memory that `place` returns for its
  // offset.
  absl::Status ReadTo(
      absl::FunctionRef<char*(uint64_t offset)> place,
      absl::FunctionRef<absl::Status(absl::string_view)> on_piece) const;

  int descriptor_;
  uint64_t size_;
};

// Opens and reads a file of at most `max_size` bytes.
absl::StatusOr<PrivateMemory> ReadStoredFile(
    const std::string& path, uint64_t max_size = kMaxSmallFileSize,
    const LinkPolicy& links = {});

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_STORED_FILE_H_
