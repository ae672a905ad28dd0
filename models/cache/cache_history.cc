// SPDX-License-Identifier: Apache-2.0
#include "models/cache/cache_history.h"

#include <algorithm>
#include <cstring>

#include "models/cache/cache_kernel.h"

namespace lmserve {
namespace {

// The start of a history.
struct RingHeader {
  uint32_t size;
  uint32_t next;
};

RingHeader ReadRing(const std::byte* history) {
  RingHeader header;
  std::memcpy(&header, history, sizeof(header));
  return header;
}

}  // namespace

CacheHistory::CacheHistory(size_t capacity, size_t units, Precision keys)
    : capacity_(capacity), units_(units), keys_(keys) {
  keys_at_ = sizeof(RingHeader) + capacity * sizeof(WordId);
  bytes_ = keys_at_ + (capacity * key_bytes() + 3) / 4 * 4;
}

void CacheHistory::Clear(std::byte* history) const {
  std::memset(history, 0, bytes_);
}

std::vector<std::byte> CacheHistory::StoredKeys(
    absl::Span<const float> keys) const {
  std::vector<std::byte> stored(keys.size() * PrecisionSize(keys_));
  if (keys_ == Precision::kFloat) {
    if (!keys.empty()) std::memcpy(stored.data(), keys.data(), stored.size());
    return stored;
  }
  for (size_t i = 0; i < keys.size(); ++i) {
    const uint16_t key = ToBf16(keys[i]);
    std::memcpy(stored.data() + i * sizeof(key), &key, sizeof(key));
  }
  return stored;
}

std::vector<WordId> CacheHistory::Words(const std::byte* history) const {
  const RingHeader header = ReadRing(history);
  const std::byte* slots = history + sizeof(RingHeader);
  std::vector<WordId> words(header.size);
  if (words.empty()) return words;
  // A ring that is full begins at the slot that is overwritten next.
  const size_t first = header.size < capacity_ ? 0 : header.next;
  const size_t until_end = std::min(words.size(), capacity_ - first);
  std::memcpy(words.data(), slots + first * sizeof(WordId),
              until_end * sizeof(WordId));
  std::memcpy(words.data() + until_end, slots,
              (words.size() - until_end) * sizeof(WordId));
  return words;
}

std::vector<CacheHistory::Run> CacheHistory::Keys(
    const std::byte* history) const {
  const RingHeader header = ReadRing(history);
  const std::byte* slots = history + keys_at_;
  const size_t first = header.size < capacity_ ? 0 : header.next;
  const size_t until_end = std::min<size_t>(header.size, capacity_ - first);
  return {{0, until_end, slots + first * key_bytes()},
          {until_end, header.size - until_end, slots}};
}

void CacheHistory::Append(absl::Span<const WordId> words, const std::byte* keys,
                          std::byte* history) const {
  RingHeader header = ReadRing(history);
  for (size_t i = 0; i < words.size(); ++i) {
    // A word that would be overwritten only moves the ring on.
    if (words.size() - i <= capacity_) {
      std::memcpy(history + sizeof(RingHeader) + header.next * sizeof(WordId),
                  &words[i], sizeof(WordId));
      if (units_ > 0) {
        std::memcpy(history + keys_at_ + header.next * key_bytes(),
                    keys + i * key_bytes(), key_bytes());
      }
    }
    header.next = static_cast<uint32_t>((header.next + 1) % capacity_);
    header.size = static_cast<uint32_t>(
        std::min<size_t>(header.size + size_t{1}, capacity_));
  }
  std::memcpy(history, &header, sizeof(header));
}

void CacheHistory::Multiply(const float* x, size_t rows, const Run& run,
                            size_t skip, size_t count, float* products,
                            size_t stride) const {
  const std::byte* keys = run.keys + skip * key_bytes();
  if (keys_ == Precision::kFloat) {
    DotProducts(x, rows, units_, reinterpret_cast<const float*>(keys), count,
                products, stride);
  } else {
    DotProducts(x, rows, units_, reinterpret_cast<const uint16_t*>(keys), count,
                products, stride);
  }
}

}  // namespace lmserve
