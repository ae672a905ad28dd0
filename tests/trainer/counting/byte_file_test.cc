// SPDX-License-Identifier: Apache-2.0
#include "trainer/counting/byte_file.h"

#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temporary_directory.h"
#include "tests/text_io/compress.h"

namespace lmserve {
namespace {

using testing::HasSubstr;

class ByteFileTest : public testing::Test {
 protected:
  const TemporaryDirectory directory_;
  const std::string path_ = directory_.File("numbers");
};

// The buffers are small, so that numbers cross their ends.
TEST_F(ByteFileTest, WhatIsWrittenIsRead) {
  std::mt19937_64 random(1);
  std::vector<uint64_t> numbers;
  numbers.reserve(20000);
  for (int i = 0; i < 20000; ++i) numbers.push_back(random() >> random() % 64);
  numbers.insert(numbers.end(), {0, 127, 128, UINT64_MAX});
  auto writer = ByteWriter::Create(path_, /*hashed=*/true, 100).value();
  for (size_t i = 0; i < numbers.size(); ++i) {
    writer->WriteVarint(numbers[i]);
    writer->WriteFixed(numbers[i], 1 + i % 8);
    if (i % 100 == 0) writer->Write(std::string(i % 700, 'x'));
  }
  const uint64_t size = writer->size();
  EXPECT_FALSE(std::filesystem::exists(path_));
  ASSERT_TRUE(writer->Close().ok());
  EXPECT_EQ(std::filesystem::file_size(path_), size);

  auto reader =
      ByteReader::Open(path_, 0, UINT64_MAX, /*hashed=*/true, 100).value();
  for (size_t i = 0; i < numbers.size(); ++i) {
    ASSERT_EQ(reader->ReadVarint(), numbers[i]);
    const int bytes = 1 + i % 8;
    ASSERT_EQ(reader->ReadFixed(bytes),
              bytes == 8 ? numbers[i]
                         : numbers[i] & ((uint64_t{1} << 8 * bytes) - 1));
    if (i % 100 == 0) {
      std::string text(i % 700, ' ');
      reader->Read(text.data(), text.size());
      ASSERT_EQ(text, std::string(i % 700, 'x'));
    }
  }
  EXPECT_TRUE(reader->AtEnd());
  EXPECT_TRUE(reader->status().ok());
  EXPECT_EQ(reader->position(), size);
  EXPECT_EQ(reader->FinishHash(), writer->sha256());
}

TEST_F(ByteFileTest, ReadsAPart) {
  WriteBytes(path_, "0123456789");
  auto reader = ByteReader::Open(path_, 2, 6).value();
  EXPECT_EQ(reader->size(), 4u);
  reader->Skip(1);
  EXPECT_EQ(reader->ReadFixed(1), uint64_t{'3'});
  reader->Skip(2);
  EXPECT_TRUE(reader->AtEnd());
  EXPECT_TRUE(reader->status().ok());
}

TEST_F(ByteFileTest, ATruncatedFileIsAnError) {
  WriteBytes(path_, "\x80\x80");
  auto number = ByteReader::Open(path_).value();
  EXPECT_EQ(number->ReadVarint(), 0u);
  EXPECT_THAT(number->status().message(), HasSubstr("ends too early"));
  auto fixed = ByteReader::Open(path_).value();
  EXPECT_EQ(fixed->ReadFixed(3), 0u);
  EXPECT_EQ(fixed->status().code(), absl::StatusCode::kDataLoss);
  auto skipped = ByteReader::Open(path_).value();
  skipped->Skip(3);
  EXPECT_EQ(skipped->status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(ByteFileTest, ANumberOfMoreThan64BitsIsAnError) {
  WriteBytes(path_, std::string(20, '\x80'));
  auto reader = ByteReader::Open(path_).value();
  reader->ReadVarint();
  EXPECT_THAT(reader->status().message(), HasSubstr("64 bits"));
}

TEST_F(ByteFileTest, AFileThatIsNotClosedLeavesNothing) {
  ByteWriter::Create(path_).value()->WriteByte(1);
  EXPECT_TRUE(std::filesystem::is_empty(directory_.path()));
}

TEST_F(ByteFileTest, AFullDiskIsReported) {
  if (!std::filesystem::exists("/dev/full")) GTEST_SKIP();
  std::filesystem::create_symlink("/dev/full", directory_.File(".full.new"));
  auto writer = ByteWriter::Create(directory_.File("full")).value();
  writer->WriteByte(1);
  const absl::Status status = writer->Close();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(status.message(), HasSubstr(directory_.File("full")));
}

}  // namespace
}  // namespace lmserve
