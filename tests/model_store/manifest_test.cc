// SPDX-License-Identifier: Apache-2.0
#include "model_store/manifest.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "google/protobuf/util/message_differencer.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using google::protobuf::util::MessageDifferencer;
using testing::HasSubstr;

constexpr absl::string_view kDigest =
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

// A manifest in a different layout than ToJson() writes.
std::string Manifest() {
  return absl::StrCat(R"({
 "format_version": 1, "family": "ngram", "tokenizer": "whitespace",
 "properties": {"order": "3"}, "created": "2024-01-01T00:00:00Z",
 "files": [
  {"name": "ngram.bin", "size": "12345678901", "sha256": ")",
                      kDigest, R"("},
  {"name": "selftest.json", "size": "0", "sha256": ")",
                      kDigest, R"("}]})");
}

std::string Changed(absl::string_view from, absl::string_view to) {
  std::string text = Manifest();
  EXPECT_EQ(absl::StrReplaceAll({{from, to}}, &text), 1) << from;
  return text;
}

TEST(ManifestTest, ReadsEveryField) {
  const absl::StatusOr<lm::v1::Manifest> manifest = ParseManifest(Manifest());
  ASSERT_TRUE(manifest.ok()) << manifest.status();
  EXPECT_EQ(manifest->format_version(), 1u);
  EXPECT_EQ(manifest->family(), "ngram");
  EXPECT_EQ(manifest->tokenizer(), "whitespace");
  EXPECT_EQ(manifest->properties().at("order"), "3");
  EXPECT_EQ(manifest->created(), "2024-01-01T00:00:00Z");
  ASSERT_EQ(manifest->files_size(), 2);
  EXPECT_EQ(manifest->files(0).name(), "ngram.bin");
  EXPECT_EQ(manifest->files(0).size(), 12345678901u);
  EXPECT_EQ(manifest->files(0).sha256(), kDigest);
}

TEST(ManifestTest, WrittenAndReadIsTheSame) {
  lm::v1::Manifest manifest = ParseManifest(Manifest()).value();
  (*manifest.mutable_properties())["quote \"\\\n"] = "\xc3\xa9\x01";
  const std::string json = ToJson(manifest);
  const absl::StatusOr<lm::v1::Manifest> read = ParseManifest(json);
  ASSERT_TRUE(read.ok()) << read.status() << json;
  EXPECT_TRUE(MessageDifferencer::Equals(*read, manifest)) << json;
}

TEST(ManifestTest, PropertiesAreWrittenInTheOrderOfTheirNames) {
  lm::v1::Manifest manifest;
  std::vector<size_t> places;
  for (char name = 'z'; name >= 'a'; --name) {
    (*manifest.mutable_properties())[std::string(3, name)] = "1";
  }
  const std::string json = ToJson(manifest);
  for (char name = 'a'; name <= 'z'; ++name) {
    places.push_back(json.find(absl::StrCat("\"", std::string(3, name), "\"")));
  }
  EXPECT_THAT(places, testing::Each(testing::Lt(json.size())));
  EXPECT_TRUE(std::is_sorted(places.begin(), places.end())) << json;
}

TEST(ManifestTest, RefusesInvalidFields) {
  const std::string twice = Changed("ngram.bin", "selftest.json");
  const struct {
    std::string json;
    const char* field;
    const char* expected;
  } cases[] = {
      {Changed("\"format_version\": 1", "\"format_version\": 2"),
       "format_version", "expected 1, found '2'"},
      {Changed("\"format_version\": 1,", ""), "format_version",
       "expected 1, found '0'"},
      {Changed("whitespace", "bpe"), "tokenizer",
       "expected whitespace, found 'bpe'"},
      {Changed("\"whitespace\"", "\"\""), "tokenizer", "found ''"},
      {Changed("ngram.bin", "../ngram.bin"), "files.name",
       "found '../ngram.bin'"},
      {Changed("ngram.bin", "/etc/passwd"), "files.name",
       "found '/etc/passwd'"},
      {Changed("ngram.bin", ".."), "files.name", "a plain file name"},
      {Changed("ngram.bin", ""), "files.name", "a plain file name"},
      {Changed("ngram.bin", "a\\u0000"), "files.name", "found 'a\\x00'"},
      {Changed("ngram.bin", ".hidden"), "files.name", "a plain file name"},
      {Changed("ngram.bin", "manifest.json"), "files.name",
       "found 'manifest.json'"},
      {twice, "files.name", "expected each name once, found 'selftest.json'"},
      {Changed("selftest.json", "other.json"), "files",
       "expected an entry selftest.json"},
      {Changed(absl::StrCat("\"12345678901\", \"sha256\": \"", kDigest),
               "\"12345678901\", \"sha256\": \"e3b0"),
       "files.sha256", "found 'e3b0'"},
  };
  for (const auto& c : cases) {
    const absl::Status status = ParseManifest(c.json).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << c.json;
    EXPECT_THAT(std::string(status.message()),
                testing::StartsWith(absl::StrCat("manifest.json: ", c.field)));
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.expected));
  }
}

TEST(ManifestTest, NamesTheFormatOfANewerManifest) {
  const absl::Status status =
      ParseManifest(Changed("\"format_version\": 1",
                            "\"format_version\": 2, \"shards\": [4, 2]"))
          .status();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_EQ(status.message(),
            "manifest.json: format_version: expected 1, found '2': a newer "
            "lmserve wrote this version");
}

TEST(ManifestTest, RefusesInvalidJson) {
  for (const std::string& json :
       {std::string(), std::string("{"), std::string("[]"), std::string("1"),
        std::string("\0", 1), std::string("\xff\xfe"),
        Manifest().substr(0, Manifest().size() - 1), Manifest() + "}",
        Changed("\"12345678901\"", "\"-1\""),
        Changed("\"12345678901\"", "\"18446744073709551616\""),
        Changed("\"ngram\"", "{}"),
        Changed("\"family\"", "\"quantised\": 1, \"family\""),
        Changed("\"size\": \"0\"", "\"size\": \"0\", \"offset\": \"8\""),
        std::string(100000, '[')}) {
    const absl::Status status = ParseManifest(json).status();
    EXPECT_TRUE(absl::IsDataLoss(status)) << json.substr(0, 500);
    EXPECT_THAT(std::string(status.message()),
                testing::StartsWith("manifest.json: cannot parse the JSON: "));
  }
}

TEST(ManifestTest, RefusesMoreThanAMebibyte) {
  const std::string padding((1 << 20) - Manifest().size(), ' ');
  EXPECT_TRUE(ParseManifest(Manifest() + padding).ok());
  const absl::Status status =
      ParseManifest(Manifest() + padding + " ").status();
  EXPECT_TRUE(absl::IsDataLoss(status));
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("size: expected at most 1048576, found '1048577'"));
}

TEST(ManifestTest, MoreThanAThousandFiles) {
  lm::v1::Manifest manifest = ParseManifest(Manifest()).value();
  while (manifest.files_size() < 1000) {
    lm::v1::ModelFile& file = *manifest.add_files();
    file = manifest.files(0);
    file.set_name(absl::StrCat("file", manifest.files_size()));
  }
  EXPECT_TRUE(ParseManifest(ToJson(manifest)).ok());
  *manifest.add_files() = manifest.files(0);
  EXPECT_EQ(ParseManifest(ToJson(manifest)).status().message(),
            "manifest.json: files: expected at most 1000, found '1001'");
}

TEST(ManifestTest, ErrorsQuoteTheBeginningOfALongText) {
  const std::string name(500'000, 'x');
  const absl::Status status =
      ParseManifest(Changed("ngram.bin", name)).status();
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("files.name: expected a plain file name, found 'xxxx"));
  EXPECT_LT(status.message().size(), 300u);
}

}  // namespace
}  // namespace lmserve
