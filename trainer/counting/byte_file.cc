// SPDX-License-Identifier: Apache-2.0
#include "trainer/counting/byte_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"

namespace lmserve {
namespace {

// Writes all bytes at an offset of a file.
absl::Status WriteAt(int descriptor, const std::string& path,
                     absl::string_view bytes, uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t written =
        pwrite(descriptor, bytes.data(), bytes.size(), offset);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return absl::ErrnoToStatus(errno, path);
    bytes.remove_prefix(written);
    offset += written;
  }
  return absl::OkStatus();
}

std::string HiddenName(const std::string& path) {
  const std::filesystem::path parts(path);
  return (parts.parent_path() /
          absl::StrCat(".", parts.filename().string(), ".new"))
      .string();
}

}  // namespace

absl::StatusOr<std::unique_ptr<ByteWriter>> ByteWriter::Create(
    const std::string& path, bool hashed, size_t buffer_bytes) {
  std::string hidden = HiddenName(path);
  const int descriptor =
      open(hidden.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor < 0) return absl::ErrnoToStatus(errno, hidden);
  return std::unique_ptr<ByteWriter>(new ByteWriter(
      path, std::move(hidden), descriptor, hashed, buffer_bytes));
}

ByteWriter::ByteWriter(std::string path, std::string hidden, int descriptor,
                       bool hashed, size_t buffer_bytes)
    : path_(std::move(path)),
      hidden_(std::move(hidden)),
      descriptor_(descriptor),
      hash_(hashed ? std::make_unique<Sha256Stream>() : nullptr),
      buffer_(buffer_bytes, '\0') {}

ByteWriter::~ByteWriter() {
  if (descriptor_ < 0) return;
  close(descriptor_);
  unlink(hidden_.c_str());
}

void ByteWriter::Flush() {
  const absl::string_view bytes(buffer_.data(), used_);
  if (hash_ != nullptr) hash_->Add(bytes);
  if (status_.ok()) status_ = WriteAt(descriptor_, path_, bytes, flushed_);
  flushed_ += used_;
  used_ = 0;
}

void ByteWriter::Write(absl::string_view bytes) {
  while (!bytes.empty()) {
    if (used_ == buffer_.size()) Flush();
    const size_t count = std::min(bytes.size(), buffer_.size() - used_);
    std::memcpy(&buffer_[used_], bytes.data(), count);
    used_ += count;
    bytes.remove_prefix(count);
  }
}

std::string ByteWriter::FinishHash() {
  Flush();
  const std::string digest = hash_->Finish();
  hash_ = nullptr;
  return digest;
}

absl::Status ByteWriter::Close(bool is_durable) {
  Flush();
  if (hash_ != nullptr) sha256_ = hash_->Finish();
  if (status_.ok() && is_durable && fsync(descriptor_) != 0) {
    status_ = absl::ErrnoToStatus(errno, path_);
  }
  if (close(std::exchange(descriptor_, -1)) != 0 && status_.ok()) {
    status_ = absl::ErrnoToStatus(errno, path_);
  }
  if (status_.ok() && rename(hidden_.c_str(), path_.c_str()) != 0) {
    status_ = absl::ErrnoToStatus(errno, path_);
  }
  if (!status_.ok()) unlink(hidden_.c_str());
  return status_;
}

absl::Status CheckIsFile(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0 || S_ISREG(info.st_mode)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      path, ": expected a file, found a directory, pipe or device"));
}

absl::StatusOr<std::unique_ptr<ByteReader>> ByteReader::Open(
    const std::string& path, uint64_t begin, uint64_t end, bool hashed,
    size_t buffer_bytes) {
  if (absl::Status status = CheckIsFile(path); !status.ok()) return status;
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  struct stat info;
  if (descriptor < 0 || fstat(descriptor, &info) != 0) {
    absl::Status status = absl::ErrnoToStatus(errno, path);
    if (descriptor >= 0) close(descriptor);
    return status;
  }
  const auto size = static_cast<uint64_t>(info.st_size);
  end = std::min(end, size);
  return std::unique_ptr<ByteReader>(new ByteReader(
      path, descriptor, std::min(begin, end), end, hashed, buffer_bytes));
}

ByteReader::ByteReader(std::string path, int descriptor, uint64_t begin,
                       uint64_t end, bool hashed, size_t buffer_bytes)
    : path_(std::move(path)),
      descriptor_(descriptor),
      begin_(begin),
      file_end_(end),
      file_position_(begin),
      hash_(hashed ? std::make_unique<Sha256Stream>() : nullptr),
      buffer_(buffer_bytes + kSlack, '\0') {}

ByteReader::~ByteReader() { close(descriptor_); }

// Moves what is left to the start of the buffer and fills the rest of it.
void ByteReader::Refill() {
  if (file_position_ == file_end_ || !status_.ok()) return;
  std::memmove(buffer_.data(), &buffer_[next_], end_ - next_);
  end_ -= std::exchange(next_, 0);
  const size_t room = buffer_.size() - kSlack - end_;
  const size_t wanted = std::min<uint64_t>(room, file_end_ - file_position_);
  size_t got = 0;
  while (got < wanted) {
    const ssize_t count = pread(descriptor_, &buffer_[end_ + got], wanted - got,
                                file_position_ + got);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) status_ = absl::ErrnoToStatus(errno, path_);
    if (count == 0) status_ = Damaged("the file became shorter");
    if (count <= 0) break;
    got += count;
  }
  if (hash_ != nullptr) hash_->Add({&buffer_[end_], got});
  file_position_ += got;
  end_ += got;
}

uint64_t ByteReader::Truncated() {
  if (status_.ok()) status_ = Damaged("the file ends too early");
  next_ = end_;
  return 0;
}

uint64_t ByteReader::ReadLongVarint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    if (next_ == end_) return Truncated();
    const auto byte = static_cast<uint8_t>(buffer_[next_++]);
    value |= uint64_t{byte & 0x7Fu} << shift;
    if (byte < 0x80) return value;
  }
  if (status_.ok()) status_ = Damaged("expected a number of at most 64 bits");
  return 0;
}

void ByteReader::Read(char* out, size_t bytes) {
  while (bytes > 0) {
    if (next_ == end_) Refill();
    if (next_ == end_) {
      std::memset(out, 0, bytes);
      Truncated();
      return;
    }
    const size_t count = std::min(bytes, end_ - next_);
    std::memcpy(out, &buffer_[next_], count);
    next_ += count;
    out += count;
    bytes -= count;
  }
}

void ByteReader::Skip(uint64_t bytes) {
  while (bytes > 0) {
    if (next_ == end_ && hash_ == nullptr) {
      if (bytes > file_end_ - file_position_) {
        Truncated();
        return;
      }
      file_position_ += bytes;
      return;
    }
    if (next_ == end_) Refill();
    if (next_ == end_) {
      Truncated();
      return;
    }
    const auto count = std::min<uint64_t>(bytes, end_ - next_);
    next_ += count;
    bytes -= count;
  }
}

bool ByteReader::AtEnd() {
  if (next_ == end_) Refill();
  return next_ == end_;
}

absl::Status ByteReader::Damaged(absl::string_view problem) const {
  return absl::DataLossError(absl::StrCat(path_, ": ", problem));
}

std::string ByteReader::FinishHash() { return hash_->Finish(); }

absl::StatusOr<std::unique_ptr<SharedFile>> SharedFile::Create(
    const std::string& path) {
  const int descriptor =
      open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (descriptor < 0) return absl::ErrnoToStatus(errno, path);
  return std::unique_ptr<SharedFile>(new SharedFile(path, descriptor));
}

SharedFile::~SharedFile() { close(descriptor_); }

absl::Status SharedFile::Append(absl::string_view bytes) {
  return WriteAt(descriptor_, path_, bytes, size_.fetch_add(bytes.size()));
}

}  // namespace lmserve
