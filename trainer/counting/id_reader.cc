// SPDX-License-Identifier: Apache-2.0
#include "trainer/counting/id_reader.h"

namespace lmserve {

absl::StatusOr<std::unique_ptr<IdReader>> IdReader::Open(
    const std::string& path, const std::vector<std::vector<WordId>>& ids) {
  absl::StatusOr<std::unique_ptr<ByteReader>> file = ByteReader::Open(path);
  if (!file.ok()) return file.status();
  return std::unique_ptr<IdReader>(new IdReader(*std::move(file), ids));
}

absl::StatusOr<bool> IdReader::Next(IdBlock* block) {
  block->clear();
  std::string bytes;
  size_t thread;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (file_->AtEnd()) return false;
    const uint64_t size = file_->ReadFixed(8);
    thread = file_->ReadFixed(4);
    if (thread >= ids_.size() || size > file_->size() - file_->position()) {
      return file_->Damaged("not a block of ids");
    }
    bytes.resize(size + kMaxVarintBytes);
    file_->Read(bytes.data(), size);
    if (!file_->status().ok()) return file_->status();
    bytes.resize(size);
  }
  const std::vector<WordId>& ids = ids_[thread];
  for (size_t i = 0; i < bytes.size();) {
    uint64_t id = 0;
    int shift = 0;
    uint8_t byte;
    do {
      byte = static_cast<uint8_t>(bytes[i++]);
      id |= uint64_t{byte & 0x7Fu} << shift;
      shift += 7;
    } while (byte >= 0x80 && shift < 35 && i < bytes.size());
    if (id >= ids.size()) return file_->Damaged("an id that does not exist");
    block->push_back(ids[id]);
  }
  return true;
}

}  // namespace lmserve
