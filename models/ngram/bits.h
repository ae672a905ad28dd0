// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NGRAM_BITS_H_
#define LMSERVE_MODELS_NGRAM_BITS_H_

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
    while (pending_bits_ >= 8) {
      bytes_.push_back(static_cast<char>(pending_));
      pending_ >>= 8;
      pending_bits_ -= 8;
    }
  }

  // Appends zeros up to a multiple of 8 bits.
  void FinishByte() {
    if (pending_bits_ > 0) Append(0, 8 - pending_bits_);
  }

  // The whole bytes that were appended.
  const std::string& bytes() const { return bytes_; }

 private:
  std::string bytes_;
  uint64_t pending_ = 0;  // fewer than 8 bits between calls
  int pending_bits_ = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NGRAM_BITS_H_
