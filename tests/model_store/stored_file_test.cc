// SPDX-License-Identifier: Apache-2.0
#include "model_store/stored_file.h"

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

class StoredFileTest : public testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& bytes) {
    std::ofstream(directory_.File(name), std::ios::binary) << bytes;
    return directory_.File(name);
  }

  static std::string Error(const std::string& path) {
    return ReadStoredFile(path).status().ToString();
  }

  const TemporaryDirectory directory_;
};

TEST_F(StoredFileTest, HasTheBytes) {
  const std::string bytes("a\0b\nc", 5);
  const absl::StatusOr<PrivateMemory> file =
      ReadStoredFile(Write("file", bytes));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->bytes(), bytes);
}

TEST_F(StoredFileTest, EmptyFileIsNoBytes) {
  const absl::StatusOr<PrivateMemory> file = ReadStoredFile(Write("file", ""));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->bytes(), "");
}

TEST_F(StoredFileTest, MissingFileIsNotFound) {
  EXPECT_THAT(Error(directory_.File("none")), HasSubstr("NOT_FOUND"));
}

TEST_F(StoredFileTest, LinksAreFollowedByTheirPolicy) {
  const std::string file = Write("file", "a");
  std::filesystem::create_directory(directory_.File("inside"));
  std::filesystem::create_symlink("../file", directory_.File("inside/link"));
  const std::string link = directory_.File("inside/link");
  const auto read = [&](const LinkPolicy& policy) {
    return ReadStoredFile(link, kMaxSmallFileSize, policy).status();
  };
  EXPECT_TRUE(read({}).ok());
  EXPECT_TRUE(read({false, {directory_.path()}}).ok());
  EXPECT_TRUE(
      read({false, {directory_.File("inside"), directory_.path()}}).ok());
  EXPECT_TRUE(absl::IsDataLoss(read({false, {directory_.File("inside")}})));
  EXPECT_TRUE(absl::IsDataLoss(read({false, {}})));
  // The name of another directory may begin with the same letters.
  std::filesystem::create_directory(directory_.File("fi"));
  EXPECT_TRUE(absl::IsDataLoss(read({false, {directory_.File("fi")}})));
}

TEST_F(StoredFileTest, LinkToSomethingElseIsRefused) {
  std::filesystem::create_symlink("/dev/zero", directory_.File("link"));
  EXPECT_THAT(Error(directory_.File("link")),
              HasSubstr("expected a regular file, found something else"));
}

TEST_F(StoredFileTest, LargeFileIsRefusedBeforeItIsRead) {
  std::filesystem::resize_file(Write("file", ""), uint64_t{1} << 40);
  EXPECT_EQ(Error(directory_.File("file")),
            "DATA_LOSS: size: expected at most 1048576 bytes, found "
            "1099511627776");
}

TEST_F(StoredFileTest, ReadsInPieces) {
  std::string bytes(5'000'001, 'a');
  for (size_t i = 0; i < bytes.size(); i += 7) bytes[i] = static_cast<char>(i);
  const StoredFile file = StoredFile::Open(Write("file", bytes)).value();
  EXPECT_EQ(file.size(), bytes.size());
  std::string read;
  const auto memory = file.Read([&](absl::string_view piece) {
    read += std::string(piece);
    return absl::OkStatus();
  });
  ASSERT_TRUE(memory.ok()) << memory.status();
  EXPECT_TRUE(memory->bytes() == bytes);
  EXPECT_TRUE(read == bytes);
}

// Whatever happens to the file, an error or the bytes are the result, and not a
// signal.
TEST_F(StoredFileTest, FileThatChangesWhileItIsRead) {
  const std::string path = Write("file", std::string(3'000'000, 'a'));
  const StoredFile file = StoredFile::Open(path).value();
  const auto read = [&](uint64_t size) {
    int pieces = 0;
    return file.Read([&](absl::string_view) {
      if (++pieces == 2) std::filesystem::resize_file(path, size);
      return absl::OkStatus();
    });
  };
  EXPECT_EQ(read(1'500'000).status().ToString(),
            "DATA_LOSS: size: expected 3000000 bytes, found 1500000: the file "
            "changed while it was read");
  std::filesystem::resize_file(path, 3'000'000);
  EXPECT_EQ(read(4'000'000).status().ToString(),
            "DATA_LOSS: size: expected 3000000 bytes, found more: the file "
            "changed while it was read");
}

TEST_F(StoredFileTest, StopsWithTheErrorOfTheCaller) {
  const StoredFile file =
      StoredFile::Open(Write("file", std::string(3'000'000, 'a'))).value();
  int pieces = 0;
  EXPECT_EQ(file.Read([&](absl::string_view) {
                  return ++pieces == 2 ? absl::CancelledError("enough")
                                       : absl::OkStatus();
                })
                .status(),
            absl::CancelledError("enough"));
  EXPECT_EQ(pieces, 2);
}

// /proc/self/mem is a regular file whose first byte cannot be read.
TEST_F(StoredFileTest, DeviceThatFails) {
  const StoredFile file = StoredFile::Open("/proc/self/mem").value();
  const absl::Status status =
      file.Read([](absl::string_view) { return absl::OkStatus(); }).status();
  EXPECT_EQ(status, absl::UnavailableError(
                        "cannot read the file at byte 0: Input/output error"));
}

TEST_F(StoredFileTest, DirectoryIsRefused) {
  EXPECT_THAT(Error(directory_.path()),
              HasSubstr("expected a regular file, found something else"));
}

// Without O_NONBLOCK, open() on a FIFO would wait for a writer and this test
// would hang.
TEST_F(StoredFileTest, FifoIsRefusedAtOnce) {
  ASSERT_EQ(mkfifo(directory_.File("fifo").c_str(), 0600), 0);
  EXPECT_THAT(Error(directory_.File("fifo")),
              HasSubstr("expected a regular file, found something else"));
}

TEST_F(StoredFileTest, OutlivesTheNameAndMoves) {
  absl::StatusOr<PrivateMemory> opened = ReadStoredFile(Write("file", "abc"));
  ASSERT_TRUE(opened.ok()) << opened.status();
  const char* data = opened->bytes().data();
  ASSERT_EQ(unlink(directory_.File("file").c_str()), 0);
  PrivateMemory moved = *std::move(opened);
  absl::StatusOr<PrivateMemory> other = ReadStoredFile(Write("other", "de"));
  ASSERT_TRUE(other.ok()) << other.status();
  *other = std::move(moved);
  EXPECT_EQ(other->bytes(), "abc");
  EXPECT_EQ(other->bytes().data(), data);
}

}  // namespace
}  // namespace lmserve
