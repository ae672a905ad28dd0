// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NEURAL_ZIP_ARCHIVE_H_
#define LMSERVE_TRAINER_NEURAL_ZIP_ARCHIVE_H_

#include <functional>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// The files of a zip archive, as torch.save() writes it: not compressed, with
// or without the records of zip64 (PKWARE's APPNOTE.TXT 6.3). The bytes are not
// trusted and must outlive all views.
class ZipArchive {
 public:
  using Files = std::map<std::string, absl::string_view, std::less<>>;

  // Whether the bytes begin like an archive with files.
  static bool Matches(absl::string_view bytes);

  // Checks all offsets, sizes, names and CRC-32 sums. Takes time in proportion
  // to the bytes. Returns INVALID_ARGUMENT with the offset or the file, what
  // was expected and what was found: for damage, for files that are compressed,
  // encrypted, split or in more than one place, and for names that occur twice.
  static absl::StatusOr<ZipArchive> Parse(absl::string_view bytes);

  const Files& files() const { return files_; }

 private:
  Files files_;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_ZIP_ARCHIVE_H_
