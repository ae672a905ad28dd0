// SPDX-License-Identifier: Apache-2.0
#include "trainer/neural/zip_archive.h"

#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/torch_writer.h"

namespace lmserve {
namespace {

using testing::HasSubstr;

const std::vector<ZipFile> kFiles = {{"a/data.pkl", "some bytes"},
                                     {"a/data/0", std::string(1000, 'x')},
                                     {"a/empty", ""}};

std::string Error(const std::string& zip) {
  return ZipArchive::Parse(zip).status().ToString();
}

// Returns an archive with a number of the entry of file 0 replaced.
template <typename Number>
std::string WithEntry(size_t at, Number number) {
  std::string zip = MakeZip(kFiles);
  std::memcpy(zip.data() + zip.find("PK\x01\x02") + at, &number,
              sizeof(number));
  return zip;
}

TEST(ZipArchiveTest, ReadsFiles) {
  for (bool zip64 : {false, true}) {
    const std::string zip = MakeZip(kFiles, zip64);
    EXPECT_TRUE(ZipArchive::Matches(zip));
    const auto archive = ZipArchive::Parse(zip);
    ASSERT_TRUE(archive.ok()) << archive.status();
    ASSERT_EQ(archive->files().size(), kFiles.size());
    for (const ZipFile& file : kFiles) {
      EXPECT_EQ(archive->files().at(file.name), file.bytes);
    }
  }
  EXPECT_TRUE(ZipArchive::Parse(MakeZip({})).ok());
}

TEST(ZipArchiveTest, ACommentMayFollow) {
  std::string zip = MakeZip(kFiles);
  zip[zip.size() - 2] = 5;
  zip += "hello";
  EXPECT_EQ(Error(zip), "OK");
}

TEST(ZipArchiveTest, DamageIsFound) {
  const std::string zip = MakeZip(kFiles);
  for (size_t size = 0; size < zip.size(); ++size) {
    EXPECT_NE(Error(zip.substr(0, size)), "OK") << size;
  }
  std::string changed = zip;
  changed[zip.find("some")] = 'S';
  EXPECT_THAT(Error(changed), HasSubstr("'a/data.pkl': CRC-32: expected "));
  EXPECT_EQ(Error(""),
            "INVALID_ARGUMENT: zip: expected the record at the end of an "
            "archive, found none");
}

TEST(ZipArchiveTest, WhatIsNotSupportedIsNamed) {
  EXPECT_THAT(Error(WithEntry<uint16_t>(10, 8)),
              HasSubstr("expected a file that is not compressed"));
  EXPECT_THAT(Error(WithEntry<uint16_t>(8, 1)),
              HasSubstr("expected a file that is not encrypted"));
  EXPECT_THAT(Error(WithEntry<uint32_t>(42, 1)),
              HasSubstr("expected its header at byte 1"));
  EXPECT_THAT(Error(WithEntry<uint32_t>(20, 5)),
              HasSubstr("expected a file that is not compressed"));
}

TEST(ZipArchiveTest, NamesAreUnique) {
  EXPECT_THAT(Error(MakeZip({{"a", "1"}, {"a", "2"}})),
              HasSubstr("'a': expected each name once"));
}

// Many entries of the same bytes would take much time.
TEST(ZipArchiveTest, FilesMustNotOverlap) {
  std::string zip = MakeZip({{"a", std::string(5000, 'x')}}, false);
  const size_t at = zip.find("PK\x01\x02"), end = zip.find("PK\x05\x06");
  const std::string entry = zip.substr(at, end - at);
  std::string twice = zip.substr(0, end) + entry + zip.substr(end);
  const size_t record = end + entry.size();
  twice[record + 10] = 2;
  const uint32_t size = 2 * entry.size();
  std::memcpy(twice.data() + record + 12, &size, sizeof(size));
  EXPECT_THAT(Error(twice), HasSubstr("expected files that do not overlap"));
}

TEST(ZipArchiveTest, AnyByteMayBeWrong) {
  const std::string zip = MakeZip({{"a", "12"}, {"b", "345"}});
  for (size_t i = 0; i < zip.size(); ++i) {
    for (int value : {0, 1, 127, 128, 255}) {
      std::string changed = zip;
      changed[i] = static_cast<char>(value);
      (void)ZipArchive::Parse(changed);
    }
  }
}

}  // namespace
}  // namespace lmserve
