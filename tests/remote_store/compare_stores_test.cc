// SPDX-License-Identifier: Apache-2.0
#include "remote_store/compare_stores.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "remote_store/directory_transport.h"
#include "tests/remote_store/remote_testing.h"

namespace lmserve {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class CompareStoresTest : public testing::Test {
 protected:
  CompareStoresTest() {
    PublishTinyModel(local_.path(), "m");
    std::filesystem::copy(local_.path(), remote_.path(),
                          std::filesystem::copy_options::recursive);
    PublishTinyModel(local_.path(), "m");
    PublishTinyModel(remote_.path(), "n");
  }

  absl::Status Compare(const std::vector<std::string>& models = {}) {
    report_ = Report();
    return CompareStores(local_.path(), transport_, models, report_.reporter(),
                         NoPause());
  }

  const TemporaryDirectory local_;
  const TemporaryDirectory remote_;
  DirectoryTransport transport_{remote_.path()};
  Report report_;
};

TEST_F(CompareStoresTest, TellsWhereEachVersionIs) {
  EXPECT_TRUE(Compare().ok());
  EXPECT_THAT(report_.done,
              ElementsAre("m@1  whole, here and remote",
                          "m@2  whole, here only", "n@1  whole, remote only"));
  EXPECT_TRUE(Compare({"n"}).ok());
  EXPECT_THAT(report_.done, ElementsAre("n@1  whole, remote only"));
}

// Every byte of every file counts.
TEST_F(CompareStoresTest, FindsAnyWrongByte) {
  for (const std::string& root : {local_.path(), remote_.path()}) {
    for (const char* file : {"ngram.bin", "selftest.json", "vocabulary.txt"}) {
      const std::string path = absl::StrCat(root, "/m/1/", file);
      const std::string right = ReadBytes(path);
      for (size_t at : {size_t{0}, right.size() / 2, right.size() - 1}) {
        std::string wrong = right;
        wrong[at] ^= 1;
        WriteBytes(path, wrong);
        EXPECT_TRUE(absl::IsDataLoss(Compare()));
        EXPECT_THAT(report_.problems, ElementsAre(HasSubstr(file)));
      }
      WriteBytes(path, right);
    }
  }
  EXPECT_TRUE(Compare().ok());
}

TEST_F(CompareStoresTest, FindsMissingFiles) {
  std::filesystem::remove(remote_.File("m/1/ngram.bin"));
  std::filesystem::remove(local_.File("m/2/manifest.json"));
  EXPECT_FALSE(Compare().ok());
  EXPECT_THAT(report_.problems, Contains(HasSubstr("m@1: remote: m/1/ngram")));
  EXPECT_THAT(report_.problems,
              Contains(HasSubstr("m@2: here: manifest.json")));
}

TEST_F(CompareStoresTest, FindsTwoVersionsOfANumber) {
  ChangeManifest(remote_.File("m/1"), [](lm::v1::Manifest& manifest) {
    (*manifest.mutable_properties())["of"] = "another training";
  });
  EXPECT_TRUE(absl::IsFailedPrecondition(Compare()));
  EXPECT_THAT(report_.problems, ElementsAre(HasSubstr("another version")));
}

TEST_F(CompareStoresTest, FindsAliasesOfNothing) {
  WriteBytes(local_.File("m/aliases.json"), R"({"versions": {"a": "7"}})");
  WriteBytes(remote_.File("n/aliases.json"), R"({"versions": {"b": "8"}})");
  EXPECT_TRUE(absl::IsNotFound(Compare()));
  EXPECT_THAT(report_.problems,
              ElementsAre(HasSubstr("m@a: here: it names version 7"),
                          HasSubstr("n@b: remote: it names version 8")));
}

}  // namespace
}  // namespace lmserve
