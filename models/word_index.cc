// SPDX-License-Identifier: Apache-2.0
#include "models/word_index.h"

#include <algorithm>
#include <array>
#include <bit>

#include "absl/hash/hash.h"

namespace lmserve {
namespace {

constexpr int kSizeBits = 24;
constexpr uint64_t kSizeMask = (uint64_t{1} << kSizeBits) - 1;
constexpr size_t kBlock = 16;  // words whose memory is fetched at once

uint64_t HashOf(absl::string_view word) {
  return absl::Hash<absl::string_view>()(word);
}

uint32_t TagOf(uint64_t hash) { return static_cast<uint32_t>(hash >> 32); }

}  // namespace

// At most half of the entries have a word, so that an unknown word is compared
// with few.
WordIndex::WordIndex(size_t words)
    : entries_(std::bit_ceil(2 * words + 1)), mask_(entries_.size() - 1) {}

size_t WordIndex::Locate(absl::string_view text, absl::string_view word,
                         uint64_t hash) const {
  const uint32_t tag = TagOf(hash);
  size_t i = hash & mask_;
  for (; entries_[i].place != 0; i = (i + 1) & mask_) {
    if (entries_[i].tag != tag) continue;
    const uint64_t place = entries_[i].place;
    if (text.substr(place >> kSizeBits, place & kSizeMask) == word) break;
  }
  return i;
}

bool WordIndex::Insert(absl::string_view text, size_t offset, size_t size,
                       uint32_t number) {
  const absl::string_view word = text.substr(offset, size);
  const uint64_t hash = HashOf(word);
  Entry& entry = entries_[Locate(text, word, hash)];
  if (entry.place != 0) return false;
  entry = {TagOf(hash), number, uint64_t{offset} << kSizeBits | size};
  return true;
}

uint32_t WordIndex::Find(absl::string_view text, absl::string_view word) const {
  if (entries_.empty()) return kNotFound;
  const Entry& entry = entries_[Locate(text, word, HashOf(word))];
  return entry.place == 0 ? kNotFound : entry.number;
}

// In three passes over a block: the first asks for the entries of the words,
// the second for their text, and the third compares.
void WordIndex::FindAll(absl::string_view text,
                        absl::Span<const absl::string_view> words,
                        uint32_t* numbers) const {
  if (entries_.empty()) {
    std::fill_n(numbers, words.size(), kNotFound);
    return;
  }
  std::array<uint64_t, kBlock> hashes;
  for (size_t begin = 0; begin < words.size(); begin += kBlock) {
    const size_t count = std::min(kBlock, words.size() - begin);
    for (size_t i = 0; i < count; ++i) {
      hashes[i] = HashOf(words[begin + i]);
      __builtin_prefetch(&entries_[hashes[i] & mask_]);
    }
    for (size_t i = 0; i < count; ++i) {
      const Entry& entry = entries_[hashes[i] & mask_];
      __builtin_prefetch(text.data() + (entry.place >> kSizeBits));
    }
    for (size_t i = 0; i < count; ++i) {
      const Entry& entry = entries_[Locate(text, words[begin + i], hashes[i])];
      numbers[begin + i] = entry.place == 0 ? kNotFound : entry.number;
    }
  }
}

}  // namespace lmserve
