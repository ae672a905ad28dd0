// SPDX-License-Identifier: Apache-2.0
#include "ngram_files/murmur_hash.h"

#include <cstring>

namespace lmserve {
namespace {

constexpr uint64_t kMultiplier = 0xC6A4A7935BD1E995;

uint64_t FoldHigh(uint64_t value) { return value ^ value >> 47; }

}  // namespace

// Mixes in 8 bytes at a time, then the last 1 to 7 bytes as one number.
uint64_t MurmurHash64A(absl::string_view bytes) {
  uint64_t hash = bytes.size() * kMultiplier;
  while (bytes.size() >= sizeof(uint64_t)) {
    uint64_t block;
    std::memcpy(&block, bytes.data(), sizeof(block));
    hash ^= FoldHigh(block * kMultiplier) * kMultiplier;
    hash *= kMultiplier;
    bytes.remove_prefix(sizeof(block));
  }
  if (!bytes.empty()) {
    uint64_t rest = 0;
    std::memcpy(&rest, bytes.data(), bytes.size());
    hash = (hash ^ rest) * kMultiplier;
  }
  return FoldHigh(FoldHigh(hash) * kMultiplier);
}

}  // namespace lmserve
