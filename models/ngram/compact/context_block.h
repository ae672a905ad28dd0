// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NGRAM_COMPACT_CONTEXT_BLOCK_H_
#define LMSERVE_MODELS_NGRAM_COMPACT_CONTEXT_BLOCK_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "models/ngram/compact/bits.h"

namespace lmserve {

// Contexts of one order are stored in blocks of this many.
inline constexpr int kBlockContexts = 64;

// A context with more children than this is large: it has an entry of its own
// in a table instead of bits in its block.
inline constexpr uint32_t kMaxSmallChildren = 14;

// A small context's bits of a count are at most this.
inline constexpr int kMaxSmallCountBits = 12;

// The number of children of a context, or "large", and the index of the widths
// of their fields are stored in one byte: 4 bits each.
inline constexpr uint8_t kLargeMark = 15;
inline constexpr int kFieldWidths = 16;

// The bits of the counts of contexts with one child, by code.
inline constexpr std::array<uint8_t, 8> kSingleCountBits = {0, 1, 2, 3,
                                                            4, 6, 8, 12};

// The fields at the start of a block, before the arrays of variable length.
//   0  uint64_t  bit j: context j of the block is a single: it has one child,
//                and the rank and count of the child have the block's widths
//   8  uint32_t  the id of the first child of the block's first context
//   12 uint8_t   bits of a single's rank (low 5), code of its count's (high 3)
//   13 uint8_t   number of large contexts in the block, L (low 7 bits); the
//   high
//                bit is set if their sums have 32 bits instead of 16
//   14 if L > 0: uint32_t, the index of the first of them, then L sums: how
//   many
//                children this and the large contexts before it in the block
//                have
//   then a byte for each context that is not a single: the number of children,
//                or kLargeMark, in the low 4 bits; the index of their widths in
//                the high 4 bits
//   then the singles, rank and count - 1 each, to a whole byte
//   then the small contexts: the ranks of all children, then their counts - 1
struct BlockHeader {
  uint64_t singles;
  uint32_t first_child;
  uint8_t single_widths;
  uint8_t larges;
};
inline constexpr size_t kBlockHeaderBytes = 14;

// What a block says of its large contexts. A view of the block.
struct BlockLarges {
  // `header` is BlockHeader::larges, `at` the end of the header.
  BlockLarges(const uint8_t* at, uint8_t header)
      : at(at), count(header & 127), sum_bytes(header >> 7 != 0 ? 4 : 2) {}

  // Returns how many bytes it takes in a block with this BlockHeader::larges.
  static size_t Bytes(uint8_t header) { return kBytes[header]; }

  // The same for each value.
  static constexpr std::array<uint16_t, 256> kBytes = [] {
    std::array<uint16_t, 256> bytes = {};
    for (int count = 1; count < 128; ++count) {
      bytes[count] = static_cast<uint16_t>(4 + count * 2);
      bytes[count + 128] = static_cast<uint16_t>(4 + count * 4);
    }
    return bytes;
  }();

  // Returns the index of the first. REQUIRES: count > 0.
  uint32_t FirstIndex() const { return LoadUnaligned<uint32_t>(at); }
  // Returns how many children the first i have. REQUIRES: i <= count.
  uint32_t Children(uint32_t i) const {
    if (i == 0) return 0;
    const uint8_t* sum = at + 4 + size_t{i - 1} * sum_bytes;
    return sum_bytes == 4 ? LoadUnaligned<uint32_t>(sum)
                          : LoadUnaligned<uint16_t>(sum);
  }

  const uint8_t* at;
  uint32_t count;
  uint32_t sum_bytes;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_COMPACT_CONTEXT_BLOCK_H_
