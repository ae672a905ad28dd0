// SPDX-License-Identifier: Apache-2.0
#include "trainer/counting/spill.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace lmserve {

absl::StatusOr<std::unique_ptr<SpillFiles>> SpillFiles::Create(
    const std::string& prefix, int partitions, const SpillFormat& format) {
  std::unique_ptr<SpillFiles> files(new SpillFiles(format, partitions));
  for (int i = 0; i < partitions; ++i) {
    auto file = SharedFile::Create(absl::StrCat(prefix, i));
    if (!file.ok()) return file.status();
    files->files_.push_back(*std::move(file));
  }
  return files;
}

SpillWriter::SpillWriter(SpillFiles& files, const OrderedHash& hash,
                         size_t buffer_bytes)
    : files_(files),
      hash_(hash),
      format_(files.format()),
      buffers_(files.partitions()) {
  for (Buffer& buffer : buffers_) {
    buffer.bytes.resize(std::max(buffer_bytes, kMaxSpillBytes));
  }
}

void SpillWriter::Flush(int partition) {
  Buffer& buffer = buffers_[partition];
  absl::Status status =
      files_.files_[partition]->Append({buffer.bytes.data(), buffer.used});
  if (status_.ok()) status_ = std::move(status);
  files_.rows_[partition] += std::exchange(buffer.rows, 0);
  buffer.used = 0;
}

absl::Status SpillWriter::Close() {
  for (int i = 0; i < files_.partitions(); ++i) Flush(i);
  return status_;
}

}  // namespace lmserve
