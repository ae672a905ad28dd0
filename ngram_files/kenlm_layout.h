// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_NGRAM_FILES_KENLM_LAYOUT_H_
#define LMSERVE_NGRAM_FILES_KENLM_LAYOUT_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// The places of everything in a binary file of KenLM with a trie (its format
// version 5), little-endian:
//
//   0    the magic in 56 bytes; float 0, 1, -0.5; u32 1, 2^32 - 1, 0; u64 1
//   88   u8 order; 92 float; 96 u32 kind; 100 u8 has words; 104 u32 version 1
//   108  u64 counts[order], then 0 to 7 bytes up to a multiple of 8
//        u64 n; n hashes of words, ascending; room for counts[0] hashes
//        quantized: u8 version 2, u8 prob_bits, u8 backoff_bits, 5 bytes; for
//          each order from 2 on, float probs[2^prob_bits] and, except at the
//          highest order, float backoffs[2^backoff_bits]
//        (counts[0] + 2) 1-grams: float prob, float backoff, u64 next
//        for each order from 2 on (see KenlmLevel):
//          array pointers, except at the highest order: u8 version 0, u8 bits;
//            at the next multiple of 8: 8 bytes, u64 offsets[]; 0 to 7 bytes
//          (count + 1) records of bits; 8 bytes
//        the words in the order of their ids, each ended by a NUL byte
//
// The trie is one of suffixes: the children of an n-gram extend it by one word
// to the left. `next` is the index of the first child in the next order; the
// children end at the first child of the next n-gram, or, for the last one, at
// the `next` of one more record. Word 0 is <unk>; word i > 0 has the hash
// i - 1. Probabilities and back-off weights are log10.

// What the header says.
struct KenlmHeader {
  bool is_quantized = false;
  bool has_array_pointers = false;
  std::vector<uint64_t> counts;  // entries by order, those of blanks included

  int order() const { return static_cast<int>(counts.size()); }
};

// Where the records of one order from 2 on are. A record is a string of bits,
// the lowest one of each byte first: the first word of the n-gram; its values;
// and, except at the highest order, the low bits of `next`. The values are 31
// bits of a float without its sign, which is negative, and 32 of a float; or,
// quantized, the index of the back-off weight and then that of the probability.
struct KenlmLevel {
  uint64_t records_at = 0;  // the first byte
  int word_bits = 0;
  int prob_bits = 0;
  int backoff_bits = 0;  // 0 at the highest order
  int next_bits = 0;

  // The high bits of the `next` of record i are the index of the last offset
  // that is at most i. Empty without array pointers.
  uint64_t offsets_at = 0;
  uint64_t offsets = 0;

  // Quantized: the tables of values.
  uint64_t probs_at = 0;
  uint64_t backoffs_at = 0;

  int record_bits() const {
    return word_bits + prob_bits + backoff_bits + next_bits;
  }
};

struct KenlmLayout {
  KenlmHeader header;
  uint64_t hashes_at = 0;  // of u64 n
  uint64_t unigrams_at = 0;
  std::vector<KenlmLevel> levels;  // of the orders 2, 3, ...
  uint64_t words_at = 0;
};

// Returns the name of a kind for messages, such as "quantized trie".
std::string KenlmKindName(const KenlmHeader& header);

// Whether a file is a binary file of KenLM, of any kind, by its first bytes.
// Pure.
bool IsKenlmFile(absl::string_view head);

// Reads the header from the first bytes of a file, at least 4 KiB of them or
// the whole file. Fails with INVALID_ARGUMENT, as all functions that read
// KenLM's files, with the offset of the byte, what is expected and what was
// found: for files of other formats and versions, unfinished ones, probing hash
// tables, files without words, and orders that are not supported; with
// RESOURCE_EXHAUSTED for more n-grams of an order than 32-bit ids.
absl::StatusOr<KenlmHeader> ReadKenlmHeader(absl::string_view bytes);

// Computes from the header, and from the numbers of bits that the file chose,
// where everything is. All of it, except the words, lies within the bytes, and
// 8 bytes can be read at each bit of a record.
absl::StatusOr<KenlmLayout> ReadKenlmLayout(absl::string_view bytes);

// Reads a number of whole bytes. REQUIRES: it is within the bytes.
template <typename T>
T ReadKenlmValue(absl::string_view bytes, uint64_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(value));
  return value;
}

// Reads a number of up to 57 bits at an offset in bits. REQUIRES: 8 bytes from
// the first bit's byte on are within the bytes.
uint64_t ReadKenlmBits(absl::string_view bytes, uint64_t at, int bits);

// Returns "byte AT: WHAT: expected EXPECTED, found FOUND".
absl::Status KenlmError(uint64_t at, absl::string_view what,
                        absl::string_view expected, absl::string_view found);

}  // namespace lmserve

#endif  // LMSERVE_NGRAM_FILES_KENLM_LAYOUT_H_
