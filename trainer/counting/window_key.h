// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COUNTING_WINDOW_KEY_H_
#define LMSERVE_TRAINER_COUNTING_WINDOW_KEY_H_

#include <array>
#include <cstdint>

#include "absl/numeric/int128.h"
#include "models/vocabulary.h"
#include "trainer/counting/ordered_hash.h"

namespace lmserve {

// The words of a window in K 64-bit numbers, whose order is that of the
// windows: each word has the same number of bits, the first word the highest.
template <int K>
struct WindowKey {
  std::array<uint64_t, K> parts;

  bool operator==(const WindowKey& other) const { return parts == other.parts; }
  bool operator<(const WindowKey& other) const {
    if constexpr (K == 2) {
      // One comparison, without a branch.
      return absl::MakeUint128(parts[0], parts[1]) <
             absl::MakeUint128(other.parts[0], other.parts[1]);
    } else {
      return parts < other.parts;
    }
  }
};

// Packs windows of an order into keys and back. Immutable: thread-safe.
class WindowPacking {
 public:
  WindowPacking(int order, uint64_t vocabulary) : order_(order), bits_(1) {
    while (bits_ < 32 && vocabulary > uint64_t{1} << bits_) ++bits_;
    parts_ = (order * bits_ + 63) / 64;
  }

  int order() const { return order_; }
  // The number of 64-bit numbers of a key: at most 16.
  int parts() const { return parts_; }

  // REQUIRES: K >= parts().
  template <int K>
  WindowKey<K> Pack(const WordId* window) const {
    WindowKey<K> key = {};
    int bit = 64 * K;  // the number of bits that are left
    for (int i = 0; i < order_; ++i) {
      bit -= bits_;
      const uint64_t word = window[i];
      const int part = K - 1 - bit / 64;
      const int shift = bit % 64;
      key.parts[part] |= word << shift;
      if (shift + bits_ > 64) key.parts[part - 1] |= word >> (64 - shift);
    }
    return key;
  }

  template <int K>
  WordId Word(const WindowKey<K>& key, int index) const {
    const int bit = 64 * K - (index + 1) * bits_;
    const int part = K - 1 - bit / 64;
    const int shift = bit % 64;
    uint64_t word = key.parts[part] >> shift;
    if (shift + bits_ > 64) word |= key.parts[part - 1] << (64 - shift);
    return static_cast<WordId>(word & ((uint64_t{1} << bits_) - 1));
  }

  template <int K>
  void Unpack(const WindowKey<K>& key, WordId* window) const {
    for (int i = 0; i < order_; ++i) window[i] = Word(key, i);
  }

  // Returns the number of words at the beginning of two keys that are equal.
  template <int K>
  int Shared(const WindowKey<K>& a, const WindowKey<K>& b) const {
    for (int part = 0; part < K; ++part) {
      const uint64_t difference = a.parts[part] ^ b.parts[part];
      if (difference == 0) continue;
      return (64 * part + __builtin_clzll(difference)) / bits_;
    }
    return order_;
  }

  // Returns the number of a window by an OrderedHash.
  template <int K>
  uint64_t Hash(const OrderedHash& hash, const WindowKey<K>& key) const {
    uint64_t number = 0;
    for (int i = std::min(order_, OrderedHash::kHashedWords) - 1; i >= 0; --i) {
      number = hash.Extend(Word(key, i), number);
    }
    return number;
  }

 private:
  const int order_;
  int bits_;  // of a word
  int parts_;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COUNTING_WINDOW_KEY_H_
