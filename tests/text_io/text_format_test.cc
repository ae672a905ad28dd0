// SPDX-License-Identifier: Apache-2.0
#include "text_io/text_format.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

// Returns the bytes of a literal, NUL bytes included.
template <size_t kSize>
constexpr absl::string_view Bytes(const char (&literal)[kSize]) {
  return absl::string_view(literal, kSize - 1);
}
using testing::HasSubstr;

TEST(TextFormat, CompressionByFirstBytes) {
  EXPECT_EQ(CompressionOf("\x1F\x8B\x08"), Compression::kGzip);
  EXPECT_EQ(CompressionOf(Bytes("\xFD\x37zXZ\0rest")), Compression::kXz);
  EXPECT_EQ(CompressionOf("BZh91AY&SY"), Compression::kBzip2);
  EXPECT_EQ(CompressionOf("BZh9\x17\x72\x45"), Compression::kBzip2);
  EXPECT_EQ(CompressionOf("\x28\xB5\x2F\xFD"), Compression::kZstd);
  EXPECT_EQ(CompressionOf("\x50\x2A\x4D\x18\x04"), Compression::kZstd);
  for (absl::string_view text : {"", "BZh", "BZh9 is a name", "P*M", "(abc"}) {
    EXPECT_EQ(CompressionOf(text), Compression::kNone) << text;
  }
}

TEST(TextFormat, CompressionByName) {
  EXPECT_EQ(CompressionOfName("a/b.arpa.gz"), Compression::kGzip);
  EXPECT_EQ(CompressionOfName("b.XZ"), Compression::kXz);
  EXPECT_EQ(CompressionOfName("b.bz2"), Compression::kBzip2);
  EXPECT_EQ(CompressionOfName("b.zst"), Compression::kZstd);
  EXPECT_EQ(CompressionOfName("gz"), Compression::kNone);
  EXPECT_EQ(CompressionOfName("b.gz/arpa"), Compression::kNone);
}

TEST(TextFormat, TextIsText) {
  for (absl::string_view text :
       {Bytes(""), Bytes("\n"), Bytes("\\data\\\n"), Bytes("\xEF\xBB\xBFtext"),
        Bytes("caf\xE9"), Bytes("one NUL\0between words"),
        Bytes("PK, MM and 7z are letters"), Bytes("Rar! is a text"),
        Bytes("mmap the file"), Bytes("\xC3\xBF")}) {
    EXPECT_EQ(FormatProblem(text), "") << text;
  }
  EXPECT_EQ(ByteOrderMarkLength("\xEF\xBB\xBFtext"), 3u);
  EXPECT_EQ(ByteOrderMarkLength("\xEF\xBB"), 0u);
}

TEST(TextFormat, OtherFormatsAreNamed) {
  const std::pair<absl::string_view, absl::string_view> cases[] = {
      {Bytes("mmap lm http://kheafield.com/code format version 5\n\0"),
       "KenLM"},
      {Bytes("lmngram1"), "ngram.bin"},
      {Bytes("PK\x03\x04rest"), "zip archive"},
      {Bytes("7z\xBC\xAF\x27\x1C"), "7z archive"},
      {Bytes("\x04\x22\x4D\x18"), "lz4"},
      {Bytes("\x5D\0\0\x80\0"), "lzma"},
      {Bytes("\x1F\x8B"), "gzip data inside"},
      {Bytes("BZh91AY"), "bzip2 data inside"},
      {Bytes("%PDF-1.7"), "PDF"},
      {Bytes("\xFF\xFEt\0u\0r\0n\0"), "UTF-16LE (by its byte order mark)"},
      {Bytes("\xFE\xFF\0t\0u"), "UTF-16BE (by its byte order mark)"},
      {Bytes("\xFF\xFE\0\0t\0\0\0"), "UTF-32LE"},
      {Bytes("\0\0\xFE\xFF\0\0\0t"), "UTF-32BE"},
      {Bytes("t\0u\0r\0n\0\n\0"), "UTF-16LE (by its NUL bytes)"},
      {Bytes("\0t\0u\0r\0n\0\n"), "UTF-16BE (by its NUL bytes)"},
      {Bytes("a\0\0\0b\0\0c\0\0\0"), "binary file"}};
  for (const auto& [bytes, name] : cases) {
    EXPECT_THAT(FormatProblem(bytes), HasSubstr(name));
  }
  std::string tar(512, 'x');
  tar.replace(257, 5, "ustar");
  EXPECT_THAT(FormatProblem(tar), HasSubstr("tar archive"));
}

}  // namespace
}  // namespace lmserve
