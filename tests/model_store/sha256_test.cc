// SPDX-License-Identifier: Apache-2.0
#include "model_store/sha256.h"

#include <string>

#include "gtest/gtest.h"

namespace lmserve {
namespace {

// The examples of FIPS 180-4 and its predecessor, and NIST's for no bytes.
TEST(Sha256Test, FipsVectors) {
  const struct {
    std::string bytes;
    const char* digest;
  } cases[] = {
      {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
      {"abc",
       "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
      {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
       "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
      {std::string(1000000, 'a'),
       "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(Sha256(c.bytes), c.digest) << c.bytes.size() << " bytes";
  }
}

TEST(Sha256Test, HashesNulBytes) {
  EXPECT_NE(Sha256(std::string("a\0b", 3)), Sha256("a"));
}

TEST(Sha256Test, HashesBytesInPieces) {
  Sha256Stream stream;
  for (const char* piece : {"ab", "", "c"}) stream.Add(piece);
  EXPECT_EQ(stream.Finish(), Sha256("abc"));
}

}  // namespace
}  // namespace lmserve
