// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NGRAM_COMPACT_VALUE_CODES_H_
#define LMSERVE_MODELS_NGRAM_COMPACT_VALUE_CODES_H_

#include <array>
#include <bit>
#include <cstdint>
#include <limits>

#include "models/ngram/compact/bits.h"
#include "models/ngram/compact/rank_trie.h"

namespace lmserve {

// How the log-probabilities or the back-off weights of the n-grams of one order
// are stored: as codes of equal width in a bit string, by the id of the n-gram.
// If one value is very frequent, only the others have codes. See
// model_store/FORMAT.md.

enum class CodeKind : uint32_t {
  kTable = 0,    // the index of a value in a table of floats
  kLogProb = 1,  // see LogProbOfCode()
  kFloat = 2,    // the bits of a float
};

// The value of a blank: an n-gram that the model does not have, but which is
// the suffix of one that it has.
inline constexpr float kBlankLogProb = std::numeric_limits<float>::quiet_NaN();

// The first codes of kLogProb have values that others are far away from.
inline constexpr uint32_t kSpecialCodes = 3;
inline constexpr std::array<float, kSpecialCodes> kSpecialLogProbs = {
    kBlankLogProb, 0, -std::numeric_limits<float>::infinity()};

// Returns the log-probability with a code of kLogProb: codes from kSpecialCodes
// on number the negative floats by their absolute value, from the one with the
// bits `base` on.
inline float LogProbOfCode(uint32_t code, uint32_t base) {
  if (code < kSpecialCodes) return kSpecialLogProbs[code];
  return std::bit_cast<float>(0x80000000u | (base + (code - kSpecialCodes)));
}

inline constexpr int kMaxCodeBits = 32;

// What the file says of the codes of one order.
struct ValueRecord {
  uint64_t codes_at;  // bit string
  uint64_t codes;     // number
  uint64_t cells_at;  // of codes that are not for all n-grams; otherwise 0
  uint64_t table_at;  // floats; 0 without a table
  uint32_t table_size;
  uint32_t kind;  // CodeKind
  uint32_t bits;  // of a code
  uint32_t base;  // of kLogProb; otherwise 0
  float common;   // the value of the n-grams without a code
  uint32_t reserved;
};
static_assert(sizeof(ValueRecord) == 56);

// A view of the codes of one order. Does not own them.
struct ValueCodes {
  // Returns the value of an n-gram. REQUIRES: id < the number of n-grams.
  [[gnu::always_inline]] float Value(NgramId id) const {
    if (cells != nullptr) {
      const uint8_t* cell = cells + id / kCellRanks * kCellBytes;
      const auto bit = static_cast<uint32_t>(id % kCellRanks);
      if ((cell[4 + bit / 8] >> bit % 8 & 1) == 0) return common;
      id = CodesBefore(cell, bit);
    }
    return Decode(static_cast<uint32_t>(
        ReadBits(codes, id * bits, static_cast<int>(bits))));
  }

  // Returns the value of a code.
  float Decode(uint32_t code) const {
    switch (kind) {
      case CodeKind::kTable:
        return table[code];
      case CodeKind::kLogProb:
        return LogProbOfCode(code, base);
      case CodeKind::kFloat:
        break;
    }
    return std::bit_cast<float>(code);
  }

  // Returns an address that Value() reads first.
  const uint8_t* Address(NgramId id) const {
    return cells != nullptr ? cells + id / kCellRanks * kCellBytes
                            : codes + id * bits / 8;
  }

  const uint8_t* cells;  // null if every n-gram has a code
  const uint8_t* codes;
  const float* table;
  uint64_t bits;
  CodeKind kind;
  uint32_t base;
  float common;

 private:
  // Returns the number of codes before the one of a bit of a cell.
  // REQUIRES: bit < kCellRanks.
  static uint32_t CodesBefore(const uint8_t* cell, uint32_t bit) {
    // The number of codes before the cell is in the bits before the first.
    const uint32_t end = bit + 32;
    const auto ones = [&](size_t i, uint32_t begin) {
      const uint32_t count = end > begin ? end - begin : 0;
      const uint64_t below =
          count < 64 ? (uint64_t{1} << count) - 1 : ~uint64_t{0};
      const auto word = LoadUnaligned<uint64_t>(cell + 8 * i);
      return static_cast<uint32_t>(
          std::popcount(word & below & (i == 0 ? ~uint64_t{0} << 32 : ~0)));
    };
    return LoadUnaligned<uint32_t>(cell) + ones(0, 0) + ones(1, 64) +
           ones(2, 128) + ones(3, 192);
  }
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_COMPACT_VALUE_CODES_H_
