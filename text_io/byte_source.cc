// SPDX-License-Identifier: Apache-2.0
#include "text_io/byte_source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "text_io/decoder.h"
#include "text_io/text_format.h"

namespace lmserve {
namespace {

constexpr size_t kReadBlock = size_t{1} << 17;

// The undecoded bytes of a file.
class RawFile {
 public:
  static absl::StatusOr<RawFile> Open(const std::string& path) {
    if (path == "-") return RawFile(STDIN_FILENO, 0);
    const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat info;
    if (fd < 0 || fstat(fd, &info) != 0) return Error(path);
    RawFile file(fd, info.st_size);
    if (S_ISDIR(info.st_mode)) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": expected a file, found a directory"));
    }
    return file;
  }

  RawFile(RawFile&& other) noexcept
      : fd_(std::exchange(other.fd_, -1)),
        size_(other.size_),
        consumed_(other.consumed_) {}
  RawFile& operator=(RawFile&&) = delete;
  ~RawFile() {
    if (fd_ > STDIN_FILENO) close(fd_);
  }

  // Replaces *bytes by the next bytes of the file, or by none at its end.
  absl::Status Read(const std::string& name, std::string* bytes) {
    bytes->resize(kReadBlock);
    ssize_t count;
    do {
      count = read(fd_, bytes->data(), bytes->size());
    } while (count < 0 && errno == EINTR);
    if (count < 0) return Error(name);
    bytes->resize(count);
    consumed_ += count;
    return absl::OkStatus();
  }

  double Progress() const {
    return size_ == 0 ? -1 : std::min(1.0, double(consumed_) / size_);
  }

 private:
  RawFile(int fd, uint64_t size) : fd_(fd), size_(size) {}

  static absl::Status Error(const std::string& path) {
    return absl::ErrnoToStatus(errno, path);
  }

  int fd_;
  uint64_t size_;
  uint64_t consumed_ = 0;
};

class FileSource final : public ByteSource {
 public:
  // Without a decoder, the bytes are as in the file.
  FileSource(std::string name, RawFile file, std::string head,
             std::unique_ptr<Decoder> decoder)
      : ByteSource(std::move(name)),
        file_(std::move(file)),
        block_(std::move(head)),
        input_(block_),
        decoder_(std::move(decoder)) {}

  double Progress() const override { return file_.Progress(); }

  absl::Status Read(std::string* bytes) override {
    const size_t before = bytes->size();
    while (bytes->size() == before) {
      if (absl::Status status = FillInput(); !status.ok()) return status;
      if (decoder_ == nullptr) {
        bytes->append(input_.data(), input_.size());
        input_ = {};
        return absl::OkStatus();
      }
      if (!decoder_->Decode(&input_, ended_, bytes)) return Bad("corrupt");
      if (bytes->size() == before && ended_) {
        return decoder_->IsComplete() ? absl::OkStatus() : Bad("truncated");
      }
    }
    return absl::OkStatus();
  }

 private:
  // Ensures that there is input, unless the file is at its end.
  absl::Status FillInput() {
    if (!input_.empty() || ended_) return absl::OkStatus();
    absl::Status status = file_.Read(name(), &block_);
    input_ = block_;
    ended_ = block_.empty();
    return status;
  }

  absl::Status Bad(absl::string_view how) const {
    return absl::DataLossError(
        absl::StrCat(name(), ": the ", decoder_->name(), " data is ", how));
  }

  RawFile file_;
  std::string block_;
  absl::string_view input_;  // what is left of block_
  const std::unique_ptr<Decoder> decoder_;
  bool ended_ = false;
};

class StringSource final : public ByteSource {
 public:
  StringSource(std::string name, std::string text)
      : ByteSource(std::move(name)), text_(std::move(text)) {}

  double Progress() const override { return text_.empty() ? 1 : 0; }

  absl::Status Read(std::string* bytes) override {
    bytes->append(std::exchange(text_, ""));
    return absl::OkStatus();
  }

 private:
  std::string text_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<ByteSource>> ByteSource::Open(
    const std::string& path) {
  absl::StatusOr<RawFile> file = RawFile::Open(path);
  if (!file.ok()) return file.status();
  const std::string name = path == "-" ? "standard input" : path;
  // A pipe may deliver the first bytes one by one. A short line, as a user
  // types it, is no compressed file.
  std::string head, block;
  do {
    absl::Status status = file->Read(name, &block);
    if (!status.ok()) return status;
    head += block;
  } while (head.size() < kCompressionBytes && !block.empty() &&
           head.find('\n') == std::string::npos);
  const Compression compression = CompressionOf(head);
  std::unique_ptr<Decoder> decoder;
  if (compression != Compression::kNone) decoder = Decoder::Create(compression);
  return std::make_unique<FileSource>(name, *std::move(file), std::move(head),
                                      std::move(decoder));
}

absl::StatusOr<std::string> ReadAllBytes(const std::string& path,
                                         size_t max_bytes) {
  absl::StatusOr<std::unique_ptr<ByteSource>> source = ByteSource::Open(path);
  if (!source.ok()) return source.status();
  std::string bytes;
  size_t before;
  do {
    before = bytes.size();
    absl::Status status = (*source)->Read(&bytes);
    if (!status.ok()) return status;
    if (bytes.size() > max_bytes) {
      return absl::InvalidArgumentError(absl::StrCat(
          (*source)->name(), ": expected at most ", max_bytes, " bytes"));
    }
  } while (bytes.size() > before);
  return bytes;
}

std::unique_ptr<ByteSource> ByteSource::FromString(std::string bytes,
                                                   std::string name) {
  return std::make_unique<StringSource>(std::move(name), std::move(bytes));
}

}  // namespace lmserve
