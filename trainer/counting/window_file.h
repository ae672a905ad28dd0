// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COUNTING_WINDOW_FILE_H_
#define LMSERVE_TRAINER_COUNTING_WINDOW_FILE_H_

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "models/ngram/ngram_table.h"
#include "models/vocabulary.h"
#include "trainer/counting/byte_file.h"
#include "trainer/counting/word_table.h"

namespace lmserve {

// A window is what the text has from one position on: N words, where N is the
// order, or fewer if a </s> ends the sentence before. Every n-gram of the text
// at that position is a beginning of the window, so sorted windows with their
// counts have the counts of all n-grams up to order N. A file of windows is
// specified in FORMAT.md.

// The words of a window; those after </s> are 0.
using Window = std::array<WordId, kMaxNgramOrder>;

// Writes sorted, different windows. Not thread-safe.
class WindowWriter {
 public:
  // Starts a file, which exists when Close() has returned.
  static absl::StatusOr<std::unique_ptr<WindowWriter>> Create(
      const std::string& path, int order);

  // Adds a window and its count. `shared` is the number of words that it has in
  // common with the window before, 0 for the first.
  // REQUIRES: count > 0; the window is after the window before.
  void Add(const WordId* window, int shared, uint64_t count) {
    if (rows_++ == 0) std::copy_n(window, order_, first_.begin());
    positions_ += count;
    const uint64_t short_count = count < 8 ? count : 0;
    file_->WriteByte(static_cast<uint8_t>(shared | short_count << 5));
    for (int i = shared; i < order_; ++i) {
      file_->WriteVarint(window[i]);
      if (window[i] == kEndId) break;
    }
    if (short_count == 0) file_->WriteVarint(count);
    std::copy_n(window + shared, order_ - shared, last_.begin() + shared);
  }

  uint64_t rows() const { return rows_; }
  // The sum of the counts.
  uint64_t positions() const { return positions_; }

  // Writes the end of the file and syncs it if `is_durable`.
  absl::Status Close(bool is_durable);

 private:
  WindowWriter(std::unique_ptr<ByteWriter> file, int order);

  const std::unique_ptr<ByteWriter> file_;
  const int order_;
  uint64_t rows_ = 0;
  uint64_t positions_ = 0;
  Window first_ = {};
  Window last_ = {};
};

// Reads a file of windows and checks every byte of it. Not thread-safe.
class WindowReader {
 public:
  // Fails with DATA_LOSS, naming the file, if it is not a file of windows of
  // this order. Its words must be below `vocabulary`.
  static absl::StatusOr<std::unique_ptr<WindowReader>> Open(
      const std::string& path, int order, uint64_t vocabulary,
      size_t buffer_bytes = kFileBufferBytes);

  // Reads the next window. Returns false at the end of the file, and if it is
  // damaged, as status() says.
  bool Next();

  // The window that Next() has read, N words long, the number of words that it
  // has in common with the window before, and its count.
  const WordId* window() const { return window_.data(); }
  int shared() const { return shared_; }
  uint64_t count() const { return count_; }

  // The number of windows in the file, and the sum of their counts.
  uint64_t rows() const { return rows_; }
  uint64_t positions() const { return positions_; }
  const std::string& path() const { return file_->path(); }

  const absl::Status& status() const { return status_; }

 private:
  WindowReader(std::unique_ptr<ByteReader> file, int order, uint64_t vocabulary)
      : file_(std::move(file)), order_(order), vocabulary_(vocabulary) {}

  // Reads what the end of the file says of the windows.
  absl::Status ReadEnd();
  absl::Status CheckEnd();
  bool Fail(absl::string_view problem);

  const std::unique_ptr<ByteReader> file_;
  const int order_;
  const uint64_t vocabulary_;
  uint64_t rows_ = 0;
  uint64_t positions_ = 0;
  Window first_ = {};
  Window last_ = {};
  uint64_t body_bytes_ = 0;

  Window window_ = {};
  int length_ = 0;
  int shared_ = 0;
  uint64_t count_ = 0;
  uint64_t read_rows_ = 0;
  uint64_t read_positions_ = 0;
  bool is_at_end_ = false;
  absl::Status status_;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COUNTING_WINDOW_FILE_H_
