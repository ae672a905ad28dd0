// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COUNTING_BYTE_FILE_H_
#define LMSERVE_TRAINER_COUNTING_BYTE_FILE_H_

#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model_store/sha256.h"

namespace lmserve {

// Binary files that are written once, from start to end, and then read from
// start to end. Numbers are little-endian, of a fixed size, or of a variable
// size: LEB128, that is 7 bits in each byte, the lowest first, and the highest
// bit set in all bytes but the last.

inline constexpr size_t kMaxVarintBytes = 10;
inline constexpr size_t kFileBufferBytes = 256 << 10;

// Writes a number of a variable size and returns the end of it.
inline char* PutVarint(uint64_t value, char* out) {
  while (value >= 0x80) {
    *out++ = static_cast<char>(value | 0x80);
    value >>= 7;
  }
  *out++ = static_cast<char>(value);
  return out;
}

// Writes a file. Not thread-safe.
class ByteWriter {
 public:
  // Starts a file under a hidden name next to `path`. `hashed`: whether
  // sha256() is wanted.
  static absl::StatusOr<std::unique_ptr<ByteWriter>> Create(
      const std::string& path, bool hashed = false,
      size_t buffer_bytes = kFileBufferBytes);

  ByteWriter(const ByteWriter&) = delete;
  ByteWriter& operator=(const ByteWriter&) = delete;
  // Removes a file that was not closed.
  ~ByteWriter();

  void WriteVarint(uint64_t value) {
    Reserve(kMaxVarintBytes);
    char* const begin = &buffer_[used_];
    used_ += PutVarint(value, begin) - begin;
  }

  // Writes the low `bytes` bytes of a number, at most 8.
  void WriteFixed(uint64_t value, int bytes) {
    Reserve(sizeof value);
    std::memcpy(&buffer_[used_], &value, sizeof value);
    used_ += bytes;
  }

  void WriteByte(uint8_t value) { WriteFixed(value, 1); }
  void Write(absl::string_view bytes);

  // The number of bytes written so far.
  uint64_t size() const { return flushed_ + used_; }

  // Writes what is left, syncs the file if `is_durable`, and gives it its name.
  // Reports the first error of all writes, with the path.
  absl::Status Close(bool is_durable = false);

  // After Close(), and if `hashed`: the SHA-256 of the file.
  const std::string& sha256() const { return sha256_; }

  // The SHA-256 of the bytes so far; no more bytes may be hashed after it.
  // REQUIRES: `hashed`. To be called once, instead of sha256().
  std::string FinishHash();

 private:
  ByteWriter(std::string path, std::string hidden, int descriptor, bool hashed,
             size_t buffer_bytes);

  void Reserve(size_t bytes) {
    if (used_ + bytes > buffer_.size()) Flush();
  }
  void Flush();

  const std::string path_;
  const std::string hidden_;
  int descriptor_;
  std::unique_ptr<Sha256Stream> hash_;
  std::string buffer_;
  size_t used_ = 0;
  uint64_t flushed_ = 0;
  std::string sha256_;
  absl::Status status_;
};

// Returns INVALID_ARGUMENT if there is something at the path that is no file,
// such as a pipe, whose reader would wait for its writer.
absl::Status CheckIsFile(const std::string& path);

// Reads a file. All functions return 0 after an error, which status() reports:
// a read that failed, or DATA_LOSS if the file ends too early. Not thread-safe.
class ByteReader {
 public:
  // Reads the bytes [begin, end) of a file; by default all of it. Returns the
  // error of CheckIsFile() or that of the system.
  static absl::StatusOr<std::unique_ptr<ByteReader>> Open(
      const std::string& path, uint64_t begin = 0, uint64_t end = UINT64_MAX,
      bool hashed = false, size_t buffer_bytes = kFileBufferBytes);

  ByteReader(const ByteReader&) = delete;
  ByteReader& operator=(const ByteReader&) = delete;
  ~ByteReader();

  uint64_t ReadVarint() {
    if (end_ - next_ < kMaxVarintBytes) Refill();
    const auto first = static_cast<uint8_t>(buffer_[next_]);
    if (first < 0x80 && next_ < end_) {
      ++next_;
      return first;
    }
    return ReadLongVarint();
  }

  // Reads a number of `bytes` bytes, at most 8.
  uint64_t ReadFixed(int bytes) {
    if (end_ - next_ < sizeof(uint64_t)) Refill();
    if (end_ - next_ < static_cast<size_t>(bytes)) return Truncated();
    uint64_t value;
    std::memcpy(&value, &buffer_[next_], sizeof value);
    next_ += bytes;
    return bytes == 8 ? value : value & ((uint64_t{1} << (8 * bytes)) - 1);
  }

  // Reads exactly `bytes` bytes.
  void Read(char* out, size_t bytes);
  void Skip(uint64_t bytes);

  // Whether all bytes were read.
  bool AtEnd();

  // The number of bytes read so far.
  uint64_t position() const { return file_position_ - begin_ - (end_ - next_); }
  // The number of bytes in all.
  uint64_t size() const { return file_end_ - begin_; }

  const absl::Status& status() const { return status_; }
  const std::string& path() const { return path_; }

  // An error that names the file: it is damaged.
  absl::Status Damaged(absl::string_view problem) const;

  // The SHA-256 of all bytes. REQUIRES: `hashed`, and all bytes were read. To
  // be called once.
  std::string FinishHash();

 private:
  // Bytes after the end of the buffer that may be read, but are not used.
  static constexpr size_t kSlack = 16;

  ByteReader(std::string path, int descriptor, uint64_t begin, uint64_t end,
             bool hashed, size_t buffer_bytes);

  void Refill();
  uint64_t ReadLongVarint();
  uint64_t Truncated();

  const std::string path_;
  const int descriptor_;
  const uint64_t begin_;
  const uint64_t file_end_;
  uint64_t file_position_;
  std::unique_ptr<Sha256Stream> hash_;
  std::string buffer_;
  size_t next_ = 0;
  size_t end_ = 0;
  absl::Status status_;
};

// A file to which several threads append. Thread-safe.
class SharedFile {
 public:
  // Creates the file, or empties it.
  static absl::StatusOr<std::unique_ptr<SharedFile>> Create(
      const std::string& path);

  SharedFile(const SharedFile&) = delete;
  SharedFile& operator=(const SharedFile&) = delete;
  ~SharedFile();

  // Appends bytes, which stay together.
  absl::Status Append(absl::string_view bytes);

  uint64_t size() const { return size_; }

 private:
  SharedFile(std::string path, int descriptor)
      : path_(std::move(path)), descriptor_(descriptor) {}

  const std::string path_;
  const int descriptor_;
  std::atomic<uint64_t> size_ = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COUNTING_BYTE_FILE_H_
