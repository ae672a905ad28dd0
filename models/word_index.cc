// SPDX-License-Identifier: Apache-2.0
#include "models/word_index.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "absl/hash/hash.h"

namespace lmserve {
namespace {

constexpr size_t kShort = sizeof(uint64_t);  // the longest word in an entry
constexpr size_t kBlock = 16;  // words whose memory is fetched at once

// Returns the letters of a short word. Words of one size have different ones.
uint64_t Letters(absl::string_view word) {
  const char* const data = word.data();
  const size_t size = word.size();
  if (size >= sizeof(uint32_t)) {
    uint32_t first, last;  // which overlap
    std::memcpy(&first, data, sizeof(first));
    std::memcpy(&last, data + size - sizeof(last), sizeof(last));
    return uint64_t{last} << 32 | first;
  }
  if (size == 0) return 0;
  const auto letter = [&](size_t i) {
    return uint64_t{static_cast<unsigned char>(data[i])};
  };
  return letter(0) | letter(size / 2) << 8 | letter(size - 1) << 16;
}

}  // namespace

// At most half of the entries have a word, so that an unknown word is compared
// with few.
WordIndex::WordIndex(size_t words) : entries_(2 * words + 1) {}

WordIndex::Key WordIndex::KeyOf(absl::string_view word) const {
  Key key;
  uint64_t hash;
  if (word.size() <= kShort) {
    key.value = Letters(word);
    hash = absl::Hash<uint64_t>()(key.value);
  } else {
    key.value = hash = absl::Hash<absl::string_view>()(word);
  }
  key.home = (hash >> 32) * entries_.size() >> 32;
  return key;
}

const WordIndex::Entry& WordIndex::Locate(
    absl::Span<const absl::string_view> words, absl::string_view word,
    const Key& key) const {
  const Entry* const begin = entries_.data();
  const Entry* const end = begin + entries_.size();
  const Entry* entry = begin + key.home;
  while (entry->size != 0) {
    if (entry->key == key.value && entry->size == word.size() &&
        (word.size() <= kShort || words[entry->number] == word)) {
      break;
    }
    if (++entry == end) entry = begin;
  }
  return *entry;
}

bool WordIndex::Insert(absl::Span<const absl::string_view> words,
                       uint32_t number) {
  const absl::string_view word = words[number];
  const Key key = KeyOf(word);
  const Entry& place = Locate(words, word, key);
  if (place.size != 0) return false;
  entries_[&place - entries_.data()] = {key.value, number,
                                        static_cast<uint32_t>(word.size())};
  return true;
}

uint32_t WordIndex::Find(absl::Span<const absl::string_view> words,
                         absl::string_view word) const {
  if (entries_.empty()) return kNotFound;
  const Entry& entry = Locate(words, word, KeyOf(word));
  return entry.size == 0 ? kNotFound : entry.number;
}

// In passes over a block: the first asks for the entries of the words; two more
// for what long words are compared with, a view and its text; the last
// compares.
void WordIndex::FindAll(absl::Span<const absl::string_view> words,
                        absl::Span<const absl::string_view> asked,
                        uint32_t* numbers) const {
  if (entries_.empty()) {
    std::fill_n(numbers, asked.size(), kNotFound);
    return;
  }
  std::array<Key, kBlock> keys;
  std::array<uint32_t, kBlock> candidates;  // for long words
  for (size_t begin = 0; begin < asked.size(); begin += kBlock) {
    const absl::Span<const absl::string_view> block =
        asked.subspan(begin, kBlock);
    const absl::string_view* const word = block.data();
    for (size_t i = 0; i < block.size(); ++i) {
      keys[i] = KeyOf(word[i]);
      __builtin_prefetch(&entries_[keys[i].home]);
    }
    size_t count = 0;
    for (size_t i = 0; i < block.size(); ++i) {
      if (word[i].size() <= kShort) continue;
      const Entry& entry = entries_[keys[i].home];
      if (entry.size != word[i].size()) continue;
      __builtin_prefetch(&words[entry.number]);
      candidates[count++] = entry.number;
    }
    for (size_t i = 0; i < count; ++i) {
      __builtin_prefetch(words[candidates[i]].data());
    }
    for (size_t i = 0; i < block.size(); ++i) {
      const Entry& entry = Locate(words, word[i], keys[i]);
      numbers[begin + i] = entry.size == 0 ? kNotFound : entry.number;
    }
  }
}

}  // namespace lmserve
