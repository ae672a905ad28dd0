// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_CACHE_CACHE_HISTORY_H_
#define LMSERVE_MODELS_CACHE_CACHE_HISTORY_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "models/neural/weight_matrix.h"
#include "models/vocabulary.h"

namespace lmserve {

// The last words of a text, each with its key: the hidden state from which the
// word was predicted. Knows how they are stored as plain bytes, in a ring:
//
//   uint32 size            number of words, at most capacity
//   uint32 next            slot of the next word
//   uint32 words[capacity]
//   keys[capacity][units]  float or bfloat16, padded to a multiple of 4 bytes
//
// Slots that were never used are 0, so two texts of the same words and keys
// have the same bytes. Immutable: any number of threads may use one instance.
class CacheHistory {
 public:
  // `units` is the length of a key; 0: words have no keys. Keys are floats, or
  // rounded to bfloat16. REQUIRES: capacity > 0; keys is kFloat or kBf16.
  CacheHistory(size_t capacity, size_t units, Precision keys);

  // The size of the bytes, a multiple of 4.
  size_t bytes() const { return bytes_; }
  size_t capacity() const { return capacity_; }
  size_t units() const { return units_; }

  // Writes an empty history.
  void Clear(std::byte* history) const;

  // Converts keys (words, units) to the bytes that are stored.
  std::vector<std::byte> StoredKeys(absl::Span<const float> keys) const;

  // Consecutive words and their keys, as views.
  struct Run {
    size_t begin;           // index of the first word
    size_t count;           // number of words
    const std::byte* keys;  // (count, units), as stored
  };

  // Returns the words of a history, oldest first.
  std::vector<WordId> Words(const std::byte* history) const;
  // Returns its keys, in the order of Words(): at most two runs.
  std::vector<Run> Keys(const std::byte* history) const;

  // Appends words with keys that are as StoredKeys() returns them.
  void Append(absl::Span<const WordId> words, const std::byte* keys,
              std::byte* history) const;

  // Computes the dot products of vectors x (rows, units) and the keys of a run
  // from its first word + `skip` on: products[r * stride + i].
  void Multiply(const float* x, size_t rows, const Run& run, size_t skip,
                size_t count, float* products, size_t stride) const;

 private:
  size_t key_bytes() const { return units_ * PrecisionSize(keys_); }

  const size_t capacity_;
  const size_t units_;
  const Precision keys_;
  size_t keys_at_;  // offset of the keys
  size_t bytes_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_CACHE_CACHE_HISTORY_H_
