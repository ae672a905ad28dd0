// SPDX-License-Identifier: Apache-2.0
#include "trainer/text/line_reader.h"

#include <fcntl.h>
#include <lzma.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace lmserve {
namespace {

constexpr size_t kBlock = size_t{1} << 17;

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
    bytes->resize(kBlock);
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

class FileReader : public LineReader {
 public:
  FileReader(std::string name, RawFile file, std::string head)
      : LineReader(std::move(name)),
        file_(std::move(file)),
        input_(std::move(head)) {}

  double Progress() const override { return file_.Progress(); }

 protected:
  // Ensures that there is input, unless the file is at its end.
  absl::Status FillInput() {
    if (!input_.empty() || ended_) return absl::OkStatus();
    absl::Status status = file_.Read(name(), &input_);
    ended_ = input_.empty();
    return status;
  }

  absl::Status DataLoss(absl::string_view problem) const {
    return absl::DataLossError(absl::StrCat(name(), ": ", problem));
  }

  std::string& input() { return input_; }
  bool ended() const { return ended_; }

 private:
  RawFile file_;
  std::string input_;
  bool ended_ = false;
};

class PlainReader final : public FileReader {
 public:
  using FileReader::FileReader;

 protected:
  absl::Status Read(std::string* bytes) override {
    absl::Status status = FillInput();
    bytes->append(input());
    input().clear();
    return status;
  }
};

class GzipReader final : public FileReader {
 public:
  GzipReader(std::string name, RawFile file, std::string head)
      : FileReader(std::move(name), std::move(file), std::move(head)) {
    inflateInit2(&stream_, 15 + 16);  // the largest window, gzip framing
  }
  ~GzipReader() override { inflateEnd(&stream_); }

 protected:
  absl::Status Read(std::string* bytes) override {
    const size_t before = bytes->size();
    while (bytes->size() == before) {
      if (absl::Status status = FillInput(); !status.ok()) return status;
      if (ended()) {
        return inside_ ? DataLoss("the gzip data is truncated")
                       : absl::OkStatus();
      }
      if (absl::Status status = Inflate(bytes); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Inflate(std::string* bytes) {
    const size_t before = bytes->size();
    bytes->resize(before + kBlock);
    stream_.next_in = reinterpret_cast<Bytef*>(input().data());
    stream_.avail_in = input().size();
    stream_.next_out = reinterpret_cast<Bytef*>(bytes->data() + before);
    stream_.avail_out = kBlock;
    const int result = inflate(&stream_, Z_NO_FLUSH);
    input().erase(0, input().size() - stream_.avail_in);
    bytes->resize(before + kBlock - stream_.avail_out);
    inside_ = result != Z_STREAM_END;
    if (result == Z_STREAM_END) {
      inflateReset(&stream_);  // a file may have several members
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
      return DataLoss("the gzip data is corrupt");
    }
    return absl::OkStatus();
  }

  z_stream stream_ = {};
  bool inside_ = true;  // within a member of the file
};

class XzReader final : public FileReader {
 public:
  XzReader(std::string name, RawFile file, std::string head)
      : FileReader(std::move(name), std::move(file), std::move(head)) {
    ready_ = lzma_stream_decoder(&stream_, std::numeric_limits<uint64_t>::max(),
                                 LZMA_CONCATENATED) == LZMA_OK;
  }
  ~XzReader() override { lzma_end(&stream_); }

 protected:
  absl::Status Read(std::string* bytes) override {
    if (!ready_) return absl::ResourceExhaustedError(name() + ": no memory");
    const size_t before = bytes->size();
    while (bytes->size() == before && !done_) {
      if (absl::Status status = FillInput(); !status.ok()) return status;
      if (absl::Status status = Decode(bytes); !status.ok()) return status;
    }
    return absl::OkStatus();
  }

 private:
  absl::Status Decode(std::string* bytes) {
    const size_t before = bytes->size();
    bytes->resize(before + kBlock);
    stream_.next_in = reinterpret_cast<const uint8_t*>(input().data());
    stream_.avail_in = input().size();
    stream_.next_out = reinterpret_cast<uint8_t*>(bytes->data() + before);
    stream_.avail_out = kBlock;
    const lzma_ret result = lzma_code(&stream_, ended() ? LZMA_FINISH  //
                                                        : LZMA_RUN);
    input().erase(0, input().size() - stream_.avail_in);
    bytes->resize(before + kBlock - stream_.avail_out);
    done_ = result == LZMA_STREAM_END;
    if (result == LZMA_OK || done_) return absl::OkStatus();
    return DataLoss(result == LZMA_BUF_ERROR ? "the xz data is truncated"
                                             : "the xz data is corrupt");
  }

  lzma_stream stream_ = LZMA_STREAM_INIT;
  bool ready_ = false;
  bool done_ = false;
};

class StringReader final : public LineReader {
 public:
  explicit StringReader(std::string text)
      : LineReader("text"), text_(std::move(text)) {}

  double Progress() const override { return text_.empty() ? 1 : 0; }

 protected:
  absl::Status Read(std::string* bytes) override {
    bytes->append(std::exchange(text_, ""));
    return absl::OkStatus();
  }

 private:
  std::string text_;
};

}  // namespace

LineReader::~LineReader() = default;

absl::StatusOr<std::unique_ptr<LineReader>> LineReader::Open(
    const std::string& path) {
  absl::StatusOr<RawFile> file = RawFile::Open(path);
  if (!file.ok()) return file.status();
  const std::string name = path == "-" ? "standard input" : path;
  // A pipe may deliver the first bytes one by one.
  std::string head, block;
  do {
    absl::Status status = file->Read(name, &block);
    if (!status.ok()) return status;
    head += block;
  } while (head.size() < 6 && !block.empty());
  if (absl::StartsWith(head, "\x1F\x8B")) {
    return std::make_unique<GzipReader>(name, *std::move(file), head);
  }
  if (absl::StartsWith(head, absl::string_view("\xFD"
                                               "7zXZ\0",
                                               6))) {
    return std::make_unique<XzReader>(name, *std::move(file), head);
  }
  return std::make_unique<PlainReader>(name, *std::move(file), head);
}

std::unique_ptr<LineReader> LineReader::FromString(std::string text) {
  return std::make_unique<StringReader>(std::move(text));
}

bool LineReader::Next(absl::string_view* line) {
  if (!status_.ok()) return false;
  size_t searched = position_;
  size_t end;
  while ((end = buffer_.find('\n', searched)) == std::string::npos) {
    buffer_.erase(0, std::exchange(position_, 0));
    searched = buffer_.size();
    status_ = Read(&buffer_);
    if (!status_.ok()) return false;
    if (buffer_.size() == searched) break;  // the end of the file
  }
  if (end == std::string::npos && buffer_.empty()) return false;
  if (end == std::string::npos)
    end = buffer_.size();  // the last line has no LF
  *line = absl::string_view(buffer_).substr(position_, end - position_);
  position_ = std::min(end + 1, buffer_.size());
  ++line_number_;
  return true;
}

absl::Status LineError(const LineReader& lines, absl::string_view problem) {
  return absl::InvalidArgumentError(
      absl::StrCat(lines.name(), " line ", lines.line_number(), ": ", problem));
}

}  // namespace lmserve
