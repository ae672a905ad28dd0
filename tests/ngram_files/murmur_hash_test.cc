// SPDX-License-Identifier: Apache-2.0
#include "ngram_files/murmur_hash.h"

#include "gtest/gtest.h"

namespace lmserve {
namespace {

// The expected numbers were computed by KenLM.
TEST(MurmurHash, IsThatOfKenlm) {
  EXPECT_EQ(MurmurHash64A(""), 0u);
  EXPECT_EQ(MurmurHash64A("a"), 0x071717D2D36B6B11u);
  EXPECT_EQ(MurmurHash64A("<unk>"), 0xEA91E7561F5B392Bu);
  EXPECT_EQ(MurmurHash64A("seven77"), 0x6EF4F42CDAAFC884u);
  EXPECT_EQ(MurmurHash64A("eighth88"), 0x2C56C1E6B5E1D523u);
  EXPECT_EQ(MurmurHash64A("a word of 17 char"), 0x56353923A1A64E55u);
  EXPECT_EQ(MurmurHash64A("caf\xC3\xA9"), 0x5F7A16B901085D2Au);
}

}  // namespace
}  // namespace lmserve
