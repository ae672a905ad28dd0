// SPDX-License-Identifier: Apache-2.0
#include "trainer/counting/window_file.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temporary_directory.h"
#include "tests/text_io/compress.h"
#include "text_io/byte_source.h"

namespace lmserve {
namespace {

using Rows = std::vector<std::pair<std::vector<WordId>, uint64_t>>;

constexpr int kOrder = 3;
constexpr uint64_t kVocabulary = 300;

// Windows that end early share beginnings with others.
const Rows& TestRows() {
  static const Rows rows = {
      {{1, 2, 0}, 7},   {{1, 5, 2}, 8},       {{1, 5, 6}, 1},
      {{2, 0, 0}, 300}, {{5, 2, 0}, 1},       {{5, 5, 5}, 1ull << 40},
      {{5, 5, 299}, 2}, {{299, 299, 298}, 1},
  };
  return rows;
}

class WindowFileTest : public testing::Test {
 protected:
  void Write(const Rows& rows) {
    auto writer = WindowWriter::Create(path_, kOrder).value();
    std::vector<WordId> last;
    for (const auto& [window, count] : rows) {
      int shared = 0;
      while (!last.empty() && window[shared] == last[shared]) ++shared;
      writer->Add(window.data(), shared, count);
      last = window;
    }
    ASSERT_TRUE(writer->Close(/*is_durable=*/true).ok());
  }

  // Reads all windows, or fails.
  absl::StatusOr<Rows> Read(int order = kOrder,
                            uint64_t vocabulary = kVocabulary) {
    auto reader = WindowReader::Open(path_, order, vocabulary);
    if (!reader.ok()) return reader.status();
    Rows rows;
    while ((*reader)->Next()) {
      rows.emplace_back(
          std::vector<WordId>((*reader)->window(), (*reader)->window() + order),
          (*reader)->count());
    }
    if (!(*reader)->status().ok()) return (*reader)->status();
    EXPECT_EQ((*reader)->rows(), rows.size());
    EXPECT_FALSE((*reader)->Next());
    EXPECT_TRUE((*reader)->status().ok());
    return rows;
  }

  const TemporaryDirectory directory_;
  const std::string path_ = directory_.File("part");
};

TEST_F(WindowFileTest, WhatIsWrittenIsRead) {
  Write(TestRows());
  EXPECT_EQ(Read().value(), TestRows());
}

TEST_F(WindowFileTest, MayBeEmpty) {
  Write({});
  EXPECT_EQ(Read().value(), Rows());
}

TEST_F(WindowFileTest, AnotherOrderOrVocabularyIsRefused) {
  Write(TestRows());
  EXPECT_EQ(Read(4).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(Read(kOrder, 299).status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(WindowFileTest, EveryDamagedByteIsFound) {
  Write(TestRows());
  const std::string bytes = ReadAllBytes(path_).value();
  for (size_t i = 0; i < bytes.size(); ++i) {
    for (int bit : {0, 3, 7}) {
      std::string damaged = bytes;
      damaged[i] ^= 1 << bit;
      WriteBytes(path_, damaged);
      EXPECT_FALSE(Read().ok()) << "byte " << i << ", bit " << bit;
    }
  }
}

TEST_F(WindowFileTest, ATruncatedFileIsFound) {
  Write(TestRows());
  const std::string bytes = ReadAllBytes(path_).value();
  for (size_t size = 0; size < bytes.size(); ++size) {
    WriteBytes(path_, absl::string_view(bytes).substr(0, size));
    EXPECT_FALSE(Read().ok()) << size << " bytes";
  }
}

TEST_F(WindowFileTest, WindowsMustAscend) {
  Write({{{5, 6, 7}, 1}, {{5, 4, 7}, 1}});
  EXPECT_THAT(Read().status().message(),
              testing::HasSubstr("window 2: expected a later window"));
  Write({{{5, 6, 7}, 1}, {{5, 1, 7}, 1}});
  EXPECT_FALSE(Read().ok());
}

TEST_F(WindowFileTest, CountsAreLimited) {
  Write({{{5, 6, 7}, 1}, {{5, 6, 8}, (uint64_t{1} << 56) - 1}});
  EXPECT_TRUE(Read().ok());
  Write({{{5, 6, 7}, 2}, {{5, 6, 8}, (uint64_t{1} << 56) - 1}});
  EXPECT_THAT(Read().status().message(), testing::HasSubstr("at most 2^56"));
  // The sum of the counts is 2^64 + 1.
  Write({{{5, 6, 7}, 2}, {{5, 6, 8}, ~uint64_t{0}}});
  EXPECT_THAT(Read().status().message(),
              testing::HasSubstr("window 1: more counts than the end"));
}

TEST_F(WindowFileTest, BeginSentenceMustBeFirst) {
  Write({{{5, 0, 7}, 1}, {{5, 1, 7}, 1}});
  EXPECT_THAT(Read().status().message(),
              testing::HasSubstr("window 2: <s> inside a sentence"));
}

}  // namespace
}  // namespace lmserve
