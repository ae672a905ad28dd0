// SPDX-License-Identifier: Apache-2.0
#include "text_io/output_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <iostream>
#include <streambuf>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "text_io/encoder.h"
#include "text_io/text_format.h"

namespace lmserve {
namespace {

constexpr size_t kWriteBlock = size_t{1} << 16;

// Compresses what is written to it and writes it to a file descriptor, which it
// owns unless it is the standard output.
class EncodingBuffer final : public std::streambuf {
 public:
  EncodingBuffer(int fd, Compression compression)
      : fd_(fd), encoder_(Encoder::Create(compression)), block_(kWriteBlock) {
    setp(block_.data(), block_.data() + block_.size());
  }
  ~EncodingBuffer() override {
    if (fd_ > STDERR_FILENO) close(fd_);
  }

  // Returns errno of the first failure, or 0.
  int Finish() {
    Flush(/*ends=*/true);
    if (fd_ > STDERR_FILENO && close(std::exchange(fd_, -1)) != 0 &&
        error_ == 0) {
      error_ = errno;
    }
    return error_;
  }

 protected:
  int_type overflow(int_type c) override {
    if (!Flush(/*ends=*/false)) return traits_type::eof();
    if (!traits_type::eq_int_type(c, traits_type::eof())) {
      sputc(traits_type::to_char_type(c));
    }
    return traits_type::not_eof(c);
  }

 private:
  bool Flush(bool ends) {
    std::string encoded;
    const absl::string_view text(pbase(), pptr() - pbase());
    if (error_ == 0 && !encoder_->Encode(text, ends, &encoded)) error_ = ENOMEM;
    setp(block_.data(), block_.data() + block_.size());
    Write(encoded);
    return error_ == 0;
  }

  void Write(absl::string_view bytes) {
    if (fd_ == STDOUT_FILENO) return WriteToStandardOutput(bytes);
    while (error_ == 0 && !bytes.empty()) {
      const ssize_t count = write(fd_, bytes.data(), bytes.size());
      if (count >= 0) {
        bytes.remove_prefix(count);
      } else if (errno != EINTR) {
        error_ = errno;
      }
    }
  }

  // std::cout then has the state of the standard output.
  void WriteToStandardOutput(absl::string_view bytes) {
    errno = 0;
    std::cout.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    if (std::cout.flush() || error_ != 0) return;
    error_ = errno == 0 ? EIO : errno;
  }

  int fd_;
  const std::unique_ptr<Encoder> encoder_;
  std::vector<char> block_;
  int error_ = 0;
};

class EncodedFile final : public OutputFile {
 public:
  // `temporary` is the path of the file that is written and that replaces
  // `name` at the end; empty if `name` itself is written.
  EncodedFile(std::string name, std::string temporary, int fd,
              Compression compression)
      : name_(std::move(name)),
        temporary_(std::move(temporary)),
        buffer_(fd, compression),
        stream_(&buffer_) {}
  ~EncodedFile() override {
    if (!temporary_.empty()) unlink(temporary_.c_str());
  }

  std::ostream& stream() override { return stream_; }

  absl::Status Close() override {
    int error = buffer_.Finish();
    if (error == 0 && !temporary_.empty()) {
      error = rename(temporary_.c_str(), name_.c_str()) == 0 ? 0 : errno;
      if (error == 0) temporary_.clear();
    }
    return error == 0 ? absl::OkStatus() : absl::ErrnoToStatus(error, name_);
  }

 private:
  const std::string name_;
  std::string temporary_;
  EncodingBuffer buffer_;
  std::ostream stream_;
};

// Opens a new file beside `path`, with the rights of `path` if it exists.
// Returns its descriptor, or -1 with errno.
int OpenBeside(const std::string& path, std::string* temporary) {
  *temporary = absl::StrCat(path, ".", getpid(), ".tmp");
  const int fd =
      open(temporary->c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  struct stat old;
  if (fd >= 0 && stat(path.c_str(), &old) == 0) fchmod(fd, old.st_mode & 07777);
  return fd;
}

}  // namespace

absl::StatusOr<std::unique_ptr<OutputFile>> OutputFile::Open(
    const std::string& path) {
  if (path == "-") {
    return std::make_unique<EncodedFile>("standard output", "", STDOUT_FILENO,
                                         Compression::kNone);
  }
  if (const absl::string_view end = UnsupportedCompression(path);
      !end.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path,
                     ": expected a name that ends in .gz, .xz, .bz2, .zst "
                     "or that of no other compression, found ",
                     end));
  }
  struct stat info;
  std::string target = path, temporary;
  const bool exists = stat(path.c_str(), &info) == 0;
  int fd = -1;
  if (!exists || S_ISREG(info.st_mode)) {
    std::error_code error;
    if (exists) target = std::filesystem::canonical(path, error).string();
    if (!error) fd = OpenBeside(target, &temporary);
  }
  if (fd < 0) {  // a device, or a folder where no file can be made
    if (!exists && errno == ENOENT) return absl::ErrnoToStatus(errno, path);
    target = path;
    temporary.clear();
    fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  }
  if (fd < 0) return absl::ErrnoToStatus(errno, path);
  return std::make_unique<EncodedFile>(target, temporary, fd,
                                       CompressionOfName(path));
}

}  // namespace lmserve
