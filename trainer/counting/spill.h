// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COUNTING_SPILL_H_
#define LMSERVE_TRAINER_COUNTING_SPILL_H_

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "trainer/counting/byte_file.h"
#include "trainer/counting/ordered_hash.h"
#include "trainer/counting/window_file.h"

namespace lmserve {

// Windows that wait to be sorted, in files of partitions. A partition has the
// windows of a range of OrderedHash numbers, so that the partitions, one after
// the other, have the windows in order. A window is written as two bits for
// each word, the number of its bytes minus 1, then the words, in 1 to 4 bytes
// each, then its count, in a variable size, if the windows have counts.

// How windows are written.
struct SpillFormat {
  int order = 0;
  bool has_counts = false;  // otherwise each window counts 1
  uint64_t vocabulary = 0;

  int length_bytes() const { return (order + 3) / 4; }
};

// The most bytes of a window, and the bytes that may be read after one.
inline constexpr size_t kMaxSpillBytes =
    (kMaxNgramOrder + 3) / 4 + 4 * kMaxNgramOrder + kMaxVarintBytes;

// Writes a window and returns the end of it. `out` must have kMaxSpillBytes.
inline char* PutSpilled(const SpillFormat& format, const WordId* window,
                        uint64_t count, char* out) {
  char* const lengths = out;
  out += format.length_bytes();
  uint64_t bits = 0;
  for (int i = 0; i < format.order; ++i) {
    const WordId word = window[i];
    const int length = (word > 0xFF) + (word > 0xFFFF) + (word > 0xFFFFFF);
    std::memcpy(out, &word, sizeof word);
    out += length + 1;
    bits |= uint64_t(length) << 2 * i;
  }
  // Not over the words that were written.
  for (int i = 0; i < format.length_bytes(); ++i) lengths[i] = bits >> 8 * i;
  return format.has_counts ? PutVarint(count, out) : out;
}

// Reads a window and returns the end of it. `in` must have kMaxSpillBytes;
// those after the window may be any. Sets *count to 0 if a word is not in the
// vocabulary, which means that the bytes are damaged.
inline const char* GetSpilled(const SpillFormat& format, const char* in,
                              WordId* window, uint64_t* count) {
  constexpr std::array<WordId, 4> kMasks = {0xFF, 0xFFFF, 0xFFFFFF, 0xFFFFFFFF};
  uint64_t bits;
  std::memcpy(&bits, in, sizeof bits);
  in += format.length_bytes();
  WordId largest = 0;
  for (int i = 0; i < format.order; ++i) {
    const int length = bits & 3;
    bits >>= 2;
    WordId word;
    std::memcpy(&word, in, sizeof word);
    in += length + 1;
    window[i] = word & kMasks[length];
    largest = std::max(largest, window[i]);
  }
  *count = 1;
  if (format.has_counts) {
    *count = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = static_cast<uint8_t>(*in++);
      *count |= uint64_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) break;
    }
  }
  if (largest >= format.vocabulary) *count = 0;
  return in;
}

// The files of all partitions, to which several threads write.
class SpillFiles {
 public:
  // Creates the files `prefix`0, `prefix`1, ...
  static absl::StatusOr<std::unique_ptr<SpillFiles>> Create(
      const std::string& prefix, int partitions, const SpillFormat& format);

  int partitions() const { return static_cast<int>(files_.size()); }
  const SpillFormat& format() const { return format_; }

  // The number of windows in a partition. To be called after the writers.
  uint64_t rows(int partition) const { return rows_[partition]; }

 private:
  friend class SpillWriter;

  explicit SpillFiles(const SpillFormat& format, int partitions)
      : format_(format), rows_(partitions) {}

  const SpillFormat format_;
  std::vector<std::unique_ptr<SharedFile>> files_;
  std::vector<std::atomic<uint64_t>> rows_;
};

// Writes windows to the files, on one thread.
class SpillWriter {
 public:
  // `buffer_bytes`: of each partition.
  SpillWriter(SpillFiles& files, const OrderedHash& hash, size_t buffer_bytes);

  // Adds a window, which is order() words long.
  void Add(const WordId* window, uint64_t count) {
    uint64_t number = 0;
    for (int i = std::min(format_.order, OrderedHash::kHashedWords) - 1; i >= 0;
         --i) {
      number = hash_.Extend(window[i], number);
    }
    const auto partition =
        static_cast<int>(MultiplyHigh(number, buffers_.size()));
    Buffer& buffer = buffers_[partition];
    if (buffer.bytes.size() - buffer.used < kMaxSpillBytes) Flush(partition);
    char* const out = &buffer.bytes[buffer.used];
    buffer.used += PutSpilled(format_, window, count, out) - out;
    ++buffer.rows;
  }

  // Writes what is left, and returns the first error of all writes.
  absl::Status Close();

  const absl::Status& status() const { return status_; }

 private:
  struct Buffer {
    std::string bytes;
    size_t used = 0;
    uint64_t rows = 0;
  };

  void Flush(int partition);

  SpillFiles& files_;
  const OrderedHash& hash_;
  const SpillFormat format_;
  std::vector<Buffer> buffers_;
  absl::Status status_;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COUNTING_SPILL_H_
