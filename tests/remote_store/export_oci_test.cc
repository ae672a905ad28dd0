// SPDX-License-Identifier: Apache-2.0
#include "remote_store/export_oci.h"

#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model_store/sha256.h"
#include "remote_store/tar_header.h"
#include "tests/remote_store/remote_testing.h"

namespace lmserve {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;

uint64_t Octal(const std::string& field) {
  return std::stoull(field, nullptr, 8);
}

// Returns the names and bytes of a tar file, in its order.
std::vector<std::pair<std::string, std::string>> ReadTar(
    const std::string& tar) {
  std::vector<std::pair<std::string, std::string>> entries;
  for (size_t at = 0; at + kTarBlock <= tar.size() && tar[at] != '\0';) {
    const std::string header = tar.substr(at, kTarBlock);
    const std::string prefix = header.substr(345, 155).c_str();
    std::string name = header.substr(0, 100).c_str();
    if (!prefix.empty()) name = prefix + "/" + name;
    uint64_t sum = 0;
    for (size_t i = 0; i < kTarBlock; ++i) {
      const bool is_checksum = i >= 148 && i < 156;
      sum += is_checksum ? ' ' : static_cast<unsigned char>(header[i]);
    }
    EXPECT_EQ(Octal(header.substr(148, 7)), sum) << name;
    const uint64_t size = Octal(header.substr(124, 12));
    entries.emplace_back(name, tar.substr(at + kTarBlock, size));
    at += kTarBlock + size + TarPadding(size).size();
  }
  return entries;
}

class ExportOciTest : public testing::Test {
 protected:
  ExportOciTest() { PublishTinyModel(store_.path(), "m"); }

  absl::Status Export(const std::string& layout) {
    return ExportOci(store_.path(), "m", 1, layout, NoPause());
  }

  // Returns the blob of a descriptor, after checking its digest and size.
  static std::string Blob(const std::string& layout, const json& descriptor) {
    const std::string digest =
        descriptor["digest"].get<std::string>().substr(7);
    std::string bytes = ReadBytes(layout + "/blobs/sha256/" + digest);
    EXPECT_EQ(Sha256(bytes), digest);
    EXPECT_EQ(bytes.size(), descriptor["size"].get<size_t>());
    return bytes;
  }

  const TemporaryDirectory store_;
  const TemporaryDirectory out_;
};

TEST_F(ExportOciTest, HasTheFilesOfTheVersion) {
  const std::string layout = out_.File("layout");
  ASSERT_TRUE(Export(layout).ok());
  EXPECT_EQ(json::parse(ReadBytes(layout + "/oci-layout")),
            json::parse(R"({"imageLayoutVersion": "1.0.0"})"));
  const json index = json::parse(ReadBytes(layout + "/index.json"));
  ASSERT_THAT(index["manifests"], SizeIs(1));
  EXPECT_EQ(
      index["manifests"][0]["annotations"]["org.opencontainers.image.ref.name"],
      "1");
  const json image = json::parse(Blob(layout, index["manifests"][0]));
  const json config = json::parse(Blob(layout, image["config"]));
  ASSERT_THAT(image["layers"], SizeIs(1));
  EXPECT_EQ(config["rootfs"]["diff_ids"][0], image["layers"][0]["digest"]);
  std::map<std::string, std::string> files;
  std::vector<std::string> directories;
  for (const auto& [name, bytes] : ReadTar(Blob(layout, image["layers"][0]))) {
    if (name.back() == '/') {
      directories.push_back(name);
    } else {
      files[name.substr(std::string("models/").size())] = bytes;
    }
  }
  EXPECT_THAT(directories, ElementsAre("models/", "models/m/", "models/m/1/"));
  EXPECT_EQ(files, Files(store_.path()));
  // Nothing else is in the layout.
  EXPECT_THAT(Files(layout), SizeIs(5));
}

TEST_F(ExportOciTest, SameVersionSameBytes) {
  ASSERT_TRUE(Export(out_.File("a")).ok());
  // A copy with other times and permissions.
  const TemporaryDirectory copy;
  std::filesystem::copy(store_.path(), copy.path(),
                        std::filesystem::copy_options::recursive);
  std::filesystem::permissions(copy.File("m/1/ngram.bin"),
                               std::filesystem::perms(0600));
  ASSERT_TRUE(ExportOci(copy.path(), "m", 1, out_.File("b"), NoPause()).ok());
  EXPECT_EQ(Files(out_.File("a")), Files(out_.File("b")));
}

TEST_F(ExportOciTest, DamageIsNotExported) {
  std::string bytes = ReadBytes(store_.File("m/1/ngram.bin"));
  bytes[100] ^= 1;
  WriteBytes(store_.File("m/1/ngram.bin"), bytes);
  EXPECT_TRUE(absl::IsDataLoss(Export(out_.File("a"))));
  EXPECT_TRUE(std::filesystem::is_empty(out_.path()));
}

TEST_F(ExportOciTest, OverwritesNothing) {
  std::filesystem::create_directory(out_.File("a"));
  const absl::Status status = Export(out_.File("a"));
  EXPECT_TRUE(absl::IsAlreadyExists(status));
  EXPECT_TRUE(std::filesystem::is_empty(out_.File("a")));
}

TEST(TarHeaderTest, LongPathsAndLargeFiles) {
  const std::string name(64, 'n');
  const std::string path =
      absl::StrCat("models/", name, "/18446744073709551615/", name);
  const std::string tar = TarHeader(path, 0);
  ASSERT_EQ(tar.size(), kTarBlock);
  EXPECT_EQ(ReadTar(tar)[0].first, path);
  const uint64_t large = (uint64_t{1} << 33) - 1;
  EXPECT_EQ(Octal(TarHeader("x", large).substr(124, 12)), large);
  const std::string larger = TarHeader("x", large + 1).substr(124, 12);
  EXPECT_EQ(larger, std::string("\x80\0\0\0\0\0\0\x02\0\0\0\0", 12));
}

}  // namespace
}  // namespace lmserve
