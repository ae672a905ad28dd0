// SPDX-License-Identifier: Apache-2.0
#include "model_store/mapped_file.h"

#include <fstream>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

class MappedFileTest : public testing::Test {
 protected:
  std::string Write(const std::string& bytes) const {
    std::ofstream(directory_.File("file")) << bytes;
    return directory_.File("file");
  }

  const TemporaryDirectory directory_;
};

TEST_F(MappedFileTest, HasTheBytes) {
  const std::string bytes(100'000, 'x');
  const MappedFile file = MappedFile::Open(Write(bytes)).value();
  EXPECT_TRUE(file.bytes() == bytes);
}

TEST_F(MappedFileTest, AnEmptyFileHasNoBytes) {
  EXPECT_EQ(MappedFile::Open(Write("")).value().bytes(), "");
}

TEST_F(MappedFileTest, IsMoved) {
  MappedFile file = MappedFile::Open(Write("bytes")).value();
  MappedFile other = std::move(file);
  EXPECT_EQ(other.bytes(), "bytes");
  file = std::move(other);
  EXPECT_EQ(file.bytes(), "bytes");
}

TEST_F(MappedFileTest, ErrorsNameThePath) {
  const absl::Status missing =
      MappedFile::Open(directory_.File("missing")).status();
  EXPECT_TRUE(absl::IsNotFound(missing));
  EXPECT_THAT(missing.message(),
              testing::HasSubstr(directory_.File("missing")));
  EXPECT_FALSE(MappedFile::Open(directory_.path()).ok());
}

}  // namespace
}  // namespace lmserve
