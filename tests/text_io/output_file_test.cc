// SPDX-License-Identifier: Apache-2.0
#include "text_io/output_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temporary_directory.h"
#include "text_io/byte_source.h"
#include "text_io/text_format.h"

namespace lmserve {
namespace {

// Returns all bytes of a file, decompressed.
std::string ReadAll(const std::string& path) {
  const auto source = ByteSource::Open(path).value();
  std::string bytes;
  size_t before;
  do {
    before = bytes.size();
    EXPECT_TRUE(source->Read(&bytes).ok());
  } while (bytes.size() > before);
  return bytes;
}

// Lines of random digits, which compress to about a half.
std::string Digits(size_t size) {
  std::mt19937 random(1);
  std::string text(size, '\n');
  for (size_t i = 0; i < size; ++i) {
    if (i % 100 != 99) text[i] = static_cast<char>('0' + random() % 10);
  }
  return text;
}

TEST(OutputFile, IsCompressedAsItsNameSays) {
  const TemporaryDirectory directory;
  for (const char* name : {"a", "a.gz", "a.xz", "a.bz2", "a.zst"}) {
    for (size_t size : {0, 1, 1000, 300'000}) {
      const std::string path = directory.File(name), text = Digits(size);
      const auto file = OutputFile::Open(path).value();
      file->stream() << text.substr(0, size / 3);
      file->stream() << text.substr(size / 3);
      ASSERT_TRUE(file->Close().ok());
      EXPECT_EQ(ReadAll(path), text) << name << " " << size;
      std::ifstream raw(path, std::ios::binary);
      const std::string bytes(std::istreambuf_iterator<char>(raw), {});
      EXPECT_EQ(CompressionOf(bytes), CompressionOfName(name)) << name;
      if (size == 300'000 && path != directory.File("a")) {
        EXPECT_LT(bytes.size(), size * 6 / 10) << name;
      }
    }
  }
}

TEST(OutputFile, AnExistingFileStaysUntilItIsReplaced) {
  const TemporaryDirectory directory;
  const std::string path = directory.File("a"), link = directory.File("link");
  std::ofstream(path) << "precious\n";
  ASSERT_EQ(chmod(path.c_str(), 0640), 0);
  ASSERT_EQ(symlink(path.c_str(), link.c_str()), 0);
  OutputFile::Open(link).value()->stream() << Digits(200'000);
  EXPECT_EQ(ReadAll(path), "precious\n");
  const auto file = OutputFile::Open(link).value();
  file->stream() << "new\n";
  ASSERT_TRUE(file->Close().ok());
  EXPECT_EQ(ReadAll(path), "new\n");
  EXPECT_TRUE(std::filesystem::is_symlink(link));
  struct stat info;
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
  using Files = std::filesystem::directory_iterator;
  EXPECT_EQ(std::distance(Files(directory.path()), Files()), 2);
}

TEST(OutputFile, OtherCompressionsAreRefused) {
  const TemporaryDirectory directory;
  for (const char* name : {"a.zip", "a.tgz", "a.LZ4", "a.Z"}) {
    const auto file = OutputFile::Open(directory.File(name));
    EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(file.status().message(),
                testing::HasSubstr("expected a name that ends in .gz, .xz"));
  }
}

TEST(OutputFile, ErrorsNameTheFile) {
  const auto missing = OutputFile::Open("/no/such/folder/a.gz");
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(missing.status().message(),
              testing::HasSubstr("/no/such/folder/a.gz"));
  const auto full = OutputFile::Open("/dev/full").value();
  full->stream() << Digits(200'000);
  const absl::Status status = full->Close();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(status.message(), testing::HasSubstr("/dev/full"));
}

}  // namespace
}  // namespace lmserve
