// SPDX-License-Identifier: Apache-2.0
#include "trainer/counting/window_file.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"

namespace lmserve {
namespace {

constexpr absl::string_view kWindowMagic = "lmcount1";
constexpr absl::string_view kWindowEnd = "lmcount.";
constexpr uint64_t kWindowHeaderBytes = 16;
constexpr size_t kDigestBytes = 64;

// The size of what stands after the windows: the numbers of windows and of
// positions, the first and the last window, the digest, and the magic.
constexpr uint64_t EndBytes(int order) {
  return 8 + 8 + static_cast<uint64_t>(order) * 2 * 4 + kDigestBytes +
         kWindowEnd.size();
}

std::string ReadBytes(ByteReader& file, size_t size) {
  std::string bytes(size, '\0');
  file.Read(bytes.data(), size);
  return bytes;
}

}  // namespace

absl::StatusOr<std::unique_ptr<WindowWriter>> WindowWriter::Create(
    const std::string& path, int order) {
  absl::StatusOr<std::unique_ptr<ByteWriter>> file =
      ByteWriter::Create(path, /*hashed=*/true);
  if (!file.ok()) return file.status();
  return std::unique_ptr<WindowWriter>(
      new WindowWriter(*std::move(file), order));
}

WindowWriter::WindowWriter(std::unique_ptr<ByteWriter> file, int order)
    : file_(std::move(file)), order_(order) {
  file_->Write(kWindowMagic);
  file_->WriteFixed(order, 4);
  file_->WriteFixed(0, 4);
}

absl::Status WindowWriter::Close(bool is_durable) {
  file_->WriteFixed(rows_, 8);
  file_->WriteFixed(positions_, 8);
  for (int i = 0; i < order_; ++i) file_->WriteFixed(first_[i], 4);
  for (int i = 0; i < order_; ++i) file_->WriteFixed(last_[i], 4);
  file_->Write(file_->FinishHash());
  file_->Write(kWindowEnd);
  return file_->Close(is_durable);
}

absl::StatusOr<std::unique_ptr<WindowReader>> WindowReader::Open(
    const std::string& path, int order, uint64_t vocabulary,
    size_t buffer_bytes) {
  // The digest covers the file up to the digest itself.
  std::error_code error;
  const uint64_t size = std::filesystem::file_size(path, error);
  if (error) return absl::ErrnoToStatus(error.value(), path);
  const uint64_t hashed_bytes =
      size - std::min<uint64_t>(size, kDigestBytes + kWindowEnd.size());
  absl::StatusOr<std::unique_ptr<ByteReader>> file =
      ByteReader::Open(path, 0, hashed_bytes, /*hashed=*/true, buffer_bytes);
  if (!file.ok()) return file.status();
  if (size < kWindowHeaderBytes + EndBytes(order) ||
      ReadBytes(**file, kWindowMagic.size()) != kWindowMagic) {
    return (*file)->Damaged("expected a file of n-gram counts");
  }
  const uint64_t found = (*file)->ReadFixed(4);
  if (found != static_cast<uint64_t>(order)) {
    return (*file)->Damaged(
        absl::StrCat("order: expected ", order, ", found ", found));
  }
  if ((*file)->ReadFixed(4) != 0) return (*file)->Damaged("expected 0 at 12");
  std::unique_ptr<WindowReader> reader(
      new WindowReader(*std::move(file), order, vocabulary));
  reader->body_bytes_ = size - EndBytes(order);
  absl::Status status = reader->ReadEnd();
  if (!status.ok()) return status;
  return reader;
}

absl::Status WindowReader::ReadEnd() {
  absl::StatusOr<std::unique_ptr<ByteReader>> end = ByteReader::Open(
      file_->path(), body_bytes_, body_bytes_ + EndBytes(order_));
  if (!end.ok()) return end.status();
  rows_ = (*end)->ReadFixed(8);
  positions_ = (*end)->ReadFixed(8);
  if (positions_ > kMaxCounted) {
    return file_->Damaged("expected counts of at most 2^56 in all");
  }
  for (int i = 0; i < order_; ++i) first_[i] = (*end)->ReadFixed(4);
  for (int i = 0; i < order_; ++i) last_[i] = (*end)->ReadFixed(4);
  (*end)->Skip(kDigestBytes);
  if (ReadBytes(**end, kWindowEnd.size()) != kWindowEnd) {
    return file_->Damaged("expected the end of a file of n-gram counts");
  }
  return (*end)->status();
}

bool WindowReader::Fail(absl::string_view problem) {
  status_ =
      file_->status().ok()
          ? file_->Damaged(absl::StrCat("window ", read_rows_, ": ", problem))
          : file_->status();
  return false;
}

bool WindowReader::Next() {
  if (read_rows_ == rows_) {
    if (!is_at_end_) status_ = CheckEnd();
    is_at_end_ = true;
    return false;
  }
  ++read_rows_;
  const uint64_t head = file_->ReadFixed(1);
  shared_ = static_cast<int>(head & 31);
  if (shared_ >= std::max(length_, 1)) {
    return Fail("too many words in common with the window before");
  }
  int i = shared_;
  bool is_later = read_rows_ == 1;
  do {
    const uint64_t word = file_->ReadVarint();
    // After the words in common comes a larger one.
    is_later = is_later || word > window_[i];
    if (word >= vocabulary_ || !is_later || (word == kBeginId && i > 0)) {
      return Fail(word >= vocabulary_ ? "a word that does not exist"
                  : !is_later         ? "expected a later window"
                                      : "<s> inside a sentence");
    }
    window_[i++] = static_cast<WordId>(word);
  } while (i < order_ && window_[i - 1] != kEndId);
  length_ = i;
  std::fill(window_.begin() + i, window_.begin() + order_, 0);
  count_ = head >> 5;
  if (count_ == 0) count_ = file_->ReadVarint();
  if (count_ == 0 || count_ > positions_ - read_positions_) {
    return Fail(count_ == 0 ? "expected a count above 0"
                            : "more counts than the end of the file says");
  }
  read_positions_ += count_;
  if (read_rows_ == 1 &&
      !std::equal(first_.begin(), first_.begin() + order_, window_.begin())) {
    return Fail("not the first window that the end of the file names");
  }
  return file_->status().ok() || Fail("");
}

absl::Status WindowReader::CheckEnd() {
  if (file_->position() != body_bytes_ || read_positions_ != positions_ ||
      !std::equal(last_.begin(), last_.begin() + order_, window_.begin())) {
    return file_->Damaged("the windows do not match the end of the file");
  }
  file_->Skip(file_->size() - file_->position());
  absl::StatusOr<std::unique_ptr<ByteReader>> end =
      ByteReader::Open(file_->path(), file_->size());
  if (!end.ok()) return end.status();
  if (ReadBytes(**end, kDigestBytes) != file_->FinishHash()) {
    return file_->Damaged("the SHA-256 is wrong");
  }
  return file_->status();
}

}  // namespace lmserve
