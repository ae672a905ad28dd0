// SPDX-License-Identifier: Apache-2.0
#include "model_store/mapped_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using testing::HasSubstr;

class MappedFileTest : public testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& bytes) {
    std::ofstream(directory_.File(name), std::ios::binary) << bytes;
    return directory_.File(name);
  }

  static std::string Error(const std::string& path) {
    return MappedFile::Open(path).status().ToString();
  }

  const TemporaryDirectory directory_;
};

TEST_F(MappedFileTest, HasTheBytes) {
  const std::string bytes("a\0b\nc", 5);
  const absl::StatusOr<MappedFile> file =
      MappedFile::Open(Write("file", bytes));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->bytes(), bytes);
}

TEST_F(MappedFileTest, EmptyFileIsNoBytes) {
  const absl::StatusOr<MappedFile> file = MappedFile::Open(Write("file", ""));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->bytes(), "");
}

TEST_F(MappedFileTest, MissingFileIsNotFound) {
  EXPECT_THAT(Error(directory_.File("none")), HasSubstr("NOT_FOUND"));
}

TEST_F(MappedFileTest, SymbolicLinkIsRefused) {
  std::filesystem::create_symlink(Write("file", "a"), directory_.File("link"));
  EXPECT_THAT(Error(directory_.File("link")),
              HasSubstr("expected a regular file, found a symbolic link"));
}

TEST_F(MappedFileTest, DirectoryIsRefused) {
  EXPECT_THAT(Error(directory_.path()),
              HasSubstr("expected a regular file, found something else"));
}

// Without O_NONBLOCK, open() on a FIFO would wait for a writer and this test
// would hang.
TEST_F(MappedFileTest, FifoIsRefusedAtOnce) {
  ASSERT_EQ(mkfifo(directory_.File("fifo").c_str(), 0600), 0);
  EXPECT_THAT(Error(directory_.File("fifo")),
              HasSubstr("expected a regular file, found something else"));
}

TEST_F(MappedFileTest, OutlivesTheNameAndMoves) {
  absl::StatusOr<MappedFile> opened = MappedFile::Open(Write("file", "abc"));
  ASSERT_TRUE(opened.ok()) << opened.status();
  const char* data = opened->bytes().data();
  ASSERT_EQ(unlink(directory_.File("file").c_str()), 0);
  MappedFile moved = *std::move(opened);
  absl::StatusOr<MappedFile> other = MappedFile::Open(Write("other", "de"));
  ASSERT_TRUE(other.ok()) << other.status();
  *other = std::move(moved);
  EXPECT_EQ(other->bytes(), "abc");
  EXPECT_EQ(other->bytes().data(), data);
}

}  // namespace
}  // namespace lmserve
