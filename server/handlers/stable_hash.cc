// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/stable_hash.h"

#include <algorithm>
#include <cstring>

namespace lmserve {

uint64_t StableHash(absl::string_view bytes) {
  constexpr uint64_t kPrime = 0x100000001B3;
  uint64_t key = 0xCBF29CE484222325 ^ bytes.size();
  for (; !bytes.empty();
       bytes.remove_prefix(std::min<size_t>(8, bytes.size()))) {
    uint64_t word = 0;
    std::memcpy(&word, bytes.data(), std::min<size_t>(8, bytes.size()));
    key = (key ^ word) * kPrime;
    key ^= key >> 32;
  }
  key *= 0x9E3779B97F4A7C15;
  return key ^ key >> 29;
}

}  // namespace lmserve
