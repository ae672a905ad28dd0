// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NGRAM_COMPACT_BITS_H_
#define LMSERVE_MODELS_NGRAM_COMPACT_BITS_H_

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>

// Bit strings in bytes: bit i is bit i % 8 of byte i / 8, and the least
// significant bit of a number comes first.
namespace lmserve {

// The widest field that ReadBits() can read.
inline constexpr int kMaxFieldBits = 57;

template <typename T>
T LoadUnaligned(const uint8_t* bytes) {
  T value;
  std::memcpy(&value, bytes, sizeof(T));
  return value;
}

// Reads the `width` bits from a bit offset. Loads 8 bytes.
// REQUIRES: width <= kMaxFieldBits.
inline uint64_t ReadBits(const uint8_t* bytes, uint64_t bit, int width) {
  return LoadUnaligned<uint64_t>(bytes + bit / 8) >> bit % 8 &
         ((uint64_t{1} << width) - 1);
}

// Returns the number of bits that hold a number: 0 for 0.
inline int BitWidth(uint64_t number) {
  return static_cast<int>(std::bit_width(number));
}

// Appends fields to a bit string. Not thread-safe.
class BitWriter {
 public:
  // REQUIRES: width <= kMaxFieldBits and value < 2^width.
  void Append(uint64_t value, int width) {
    pending_ |= value << pending_bits_;
    pending_bits_ += width;
    if (pending_bits_ < 64) return;
    AppendPending(8);
    pending_bits_ -= 64;
    // At least 7 bits of the value were written.
    pending_ = value >> (width - pending_bits_);
  }

  // Appends zeros up to a multiple of 8 bits. Must be called before bytes().
  void FinishByte() {
    AppendPending((pending_bits_ + 7) / 8);
    pending_ = 0;
    pending_bits_ = 0;
  }

  // The bytes of all fields.
  const std::string& bytes() const { return bytes_; }

  // Starts again. Keeps the memory.
  void Clear() {
    bytes_.clear();
    pending_ = 0;
    pending_bits_ = 0;
  }

 private:
  void AppendPending(int bytes) {
    bytes_.append(reinterpret_cast<const char*>(&pending_), bytes);
  }

  std::string bytes_;
  uint64_t pending_ = 0;
  int pending_bits_ = 0;  // fewer than 64 between calls
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_COMPACT_BITS_H_
