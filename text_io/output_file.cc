// SPDX-License-Identifier: Apache-2.0
#include "text_io/output_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <streambuf>
#include <utility>

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
    while (error_ == 0 && !bytes.empty()) {
      const ssize_t count = write(fd_, bytes.data(), bytes.size());
      if (count >= 0) {
        bytes.remove_prefix(count);
      } else if (errno != EINTR) {
        error_ = errno;
      }
    }
  }

  int fd_;
  const std::unique_ptr<Encoder> encoder_;
  std::vector<char> block_;
  int error_ = 0;
};

class EncodedFile final : public OutputFile {
 public:
  EncodedFile(std::string name, int fd, Compression compression)
      : name_(std::move(name)), buffer_(fd, compression), stream_(&buffer_) {}

  std::ostream& stream() override { return stream_; }

  absl::Status Close() override {
    const int error = buffer_.Finish();
    return error == 0 ? absl::OkStatus() : absl::ErrnoToStatus(error, name_);
  }

 private:
  const std::string name_;
  EncodingBuffer buffer_;
  std::ostream stream_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<OutputFile>> OutputFile::Open(
    const std::string& path) {
  if (path == "-") {
    return std::make_unique<EncodedFile>("standard output", STDOUT_FILENO,
                                         Compression::kNone);
  }
  const int fd =
      open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (fd < 0) return absl::ErrnoToStatus(errno, path);
  return std::make_unique<EncodedFile>(path, fd, CompressionOfName(path));
}

}  // namespace lmserve
