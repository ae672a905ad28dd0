// SPDX-License-Identifier: Apache-2.0
#include "remote_store/puller.h"

#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "remote_store/directory_transport.h"
#include "tests/remote_store/remote_testing.h"

namespace lmserve {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Pair;
using testing::SizeIs;

using Aliases = std::map<std::string, uint64_t>;

class PullerTest : public testing::Test {
 protected:
  PullerTest() {
    for (int i = 0; i < 3; ++i) PublishTinyModel(remote_.path(), "m");
    EXPECT_TRUE(SetAlias(remote_.path(), "m", "stable", 1).ok());
    PublishReranker(remote_.path(), {2});
  }

  absl::Status Pull(Transport* transport, const PullOptions& options = {}) {
    report_ = Report();
    RetryingTransport retrying(transport, {}, NoPause());
    return Puller(local_.path(), &retrying, options, report_.reporter(),
                  NoPause())
        .Pull();
  }

  absl::Status Pull(const PullOptions& options = {}) {
    return Pull(&transport_, options);
  }

  const TemporaryDirectory remote_;
  const TemporaryDirectory local_;
  DirectoryTransport transport_{remote_.path()};
  Report report_;
};

TEST_F(PullerTest, CopiesEverythingOnce) {
  ASSERT_TRUE(Pull().ok());
  EXPECT_THAT(report_.done,
              ElementsAre("pulled m@3", "pulled m@2", "pulled m@1",
                          "pulled r@1", "m@stable = m@1"));
  EXPECT_EQ(Files(local_.path()), Files(remote_.path()));
  ASSERT_TRUE(Pull().ok());
  EXPECT_THAT(report_.done, IsEmpty());
}

TEST_F(PullerTest, TakesTheNewestAndWhatIsNamed) {
  PublishTinyModel(remote_.path(), "m");
  ASSERT_TRUE(Pull({.newest = 1}).ok());
  EXPECT_THAT(ListVersions(local_.path(), "m"), ElementsAre(1, 2, 4));
  ExpectSound(local_.path());
}

TEST_F(PullerTest, TakesOnlyTheModelsOfTheList) {
  ASSERT_TRUE(Pull({.models = {"m"}, .newest = 1, .aliases = false}).ok());
  EXPECT_THAT(report_.done, ElementsAre("pulled m@3"));
}

TEST_F(PullerTest, TakesTheMembersOfARerankerOfTheList) {
  ASSERT_TRUE(Pull({.models = {"r"}}).ok());
  EXPECT_THAT(report_.done, ElementsAre("pulled m@2", "pulled r@1"));
}

TEST_F(PullerTest, ReportsWhatTheRemoteStoreLacks) {
  EXPECT_TRUE(absl::IsNotFound(Pull({.models = {"m", "x"}})));
  EXPECT_THAT(report_.problems, ElementsAre("x: not in the remote store"));
  EXPECT_THAT(report_.done, Contains("pulled m@3"));
  DirectoryTransport wrong(remote_.File("m"));
  const absl::Status status = Pull(&wrong);
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(status.message(), HasSubstr("has no model"));
}

TEST_F(PullerTest, IgnoresAVersionWithoutManifest) {
  std::filesystem::remove(remote_.File("m/3/manifest.json"));
  ASSERT_TRUE(Pull().ok());
  EXPECT_THAT(ListVersions(local_.path(), "m"), ElementsAre(1, 2));
}

TEST_F(PullerTest, NeverTakesAWrongByte) {
  std::string bytes = ReadBytes(remote_.File("m/3/ngram.bin"));
  bytes[bytes.size() / 2] ^= 4;
  WriteBytes(remote_.File("m/3/ngram.bin"), bytes);
  std::filesystem::resize_file(remote_.File("m/2/vocabulary.txt"), 5);
  EXPECT_TRUE(absl::IsDataLoss(Pull()));
  EXPECT_THAT(report_.problems,
              AllOf(SizeIs(3), Contains(HasSubstr("m/3/ngram.bin: SHA-256")),
                    Contains(HasSubstr("m/2/vocabulary.txt: size"))));
  EXPECT_THAT(ListVersions(local_.path(), "m"), ElementsAre(1));
}

TEST_F(PullerTest, NeverChangesAVersion) {
  PublishTinyModel(local_.path(), "m");
  const auto before = Files(local_.path());
  ChangeManifest(local_.File("m/1"), [](lm::v1::Manifest& manifest) {
    (*manifest.mutable_properties())["of"] = "another training";
  });
  EXPECT_TRUE(absl::IsFailedPrecondition(Pull()));
  EXPECT_THAT(report_.problems,
              Contains(HasSubstr("m@1: the store and the remote store have "
                                 "different versions of this number")));
  auto after = Files(local_.path());
  EXPECT_EQ(after["m/1/ngram.bin"], before.at("m/1/ngram.bin"));
  EXPECT_NE(after["m/1/manifest.json"],
            ReadBytes(remote_.File("m/1/manifest.json")));
}

TEST_F(PullerTest, LeavesAVersionThatSomebodyIsCopying) {
  std::filesystem::create_directories(local_.File("m/2"));
  EXPECT_TRUE(absl::IsFailedPrecondition(Pull()));
  EXPECT_THAT(report_.problems, Contains(HasSubstr("m@2: the version in the "
                                                   "store is not complete")));
  EXPECT_TRUE(std::filesystem::is_empty(local_.File("m/2")));
  EXPECT_THAT(ListVersions(local_.path(), "m"), ElementsAre(1, 2, 3));
}

TEST_F(PullerTest, AliasesWaitForTheirVersions) {
  ASSERT_TRUE(Pull().ok());
  WriteBytes(remote_.File("m/aliases.json"),
             R"({"versions": {"stable": "9", "new": "9", "two": "2"}})");
  EXPECT_FALSE(Pull().ok());
  EXPECT_EQ(*ReadAliases(local_.path(), "m"),
            (Aliases{{"stable", 1}, {"two", 2}}));
  std::filesystem::copy(remote_.File("m/3"), remote_.File("m/9"));
  ASSERT_TRUE(Pull().ok());
  EXPECT_EQ(*ReadAliases(local_.path(), "m"),
            (Aliases{{"stable", 9}, {"two", 2}, {"new", 9}}));
}

TEST_F(PullerTest, AliasesThatAreGoneGo) {
  ASSERT_TRUE(SetAlias(remote_.path(), "m", "old", 2).ok());
  ASSERT_TRUE(Pull().ok());
  ASSERT_TRUE(RemoveAlias(remote_.path(), "m", "old").ok());
  ASSERT_TRUE(Pull().ok());
  EXPECT_THAT(report_.done, ElementsAre("removed m@old"));
  // That the file is lost is no decision about aliases.
  std::filesystem::remove(remote_.File("m/aliases.json"));
  ASSERT_TRUE(Pull().ok());
  EXPECT_EQ(*ReadAliases(local_.path(), "m"), (Aliases{{"stable", 1}}));
}

TEST_F(PullerTest, LeavesAliasesAlone) {
  ASSERT_TRUE(Pull().ok());
  ASSERT_TRUE(SetAlias(remote_.path(), "m", "stable", 3).ok());
  ASSERT_TRUE(Pull({.aliases = false}).ok());
  EXPECT_EQ(*ReadAliases(local_.path(), "m"), (Aliases{{"stable", 1}}));
}

TEST_F(PullerTest, DamagedAliasesChangeNothing) {
  ASSERT_TRUE(Pull().ok());
  WriteBytes(remote_.File("m/aliases.json"), "{\"versions\": ");
  EXPECT_TRUE(absl::IsDataLoss(Pull()));
  EXPECT_EQ(*ReadAliases(local_.path(), "m"), (Aliases{{"stable", 1}}));
}

TEST_F(PullerTest, RefusesNamesThatLeadElsewhere) {
  ChangeManifest(remote_.File("m/3"), [](lm::v1::Manifest& manifest) {
    manifest.mutable_files(0)->set_name("../../../x");
  });
  EXPECT_FALSE(Pull().ok());
  EXPECT_THAT(report_.problems, Contains(HasSubstr("a plain file name")));
  EXPECT_THAT(ListVersions(local_.path(), "m"), ElementsAre(1, 2));
}

TEST_F(PullerTest, GoesOnWhereItWas) {
  // Dies while it reads the last file of the first version.
  FaultyTransport faulty(&transport_, 5, Fault::kDies);
  EXPECT_TRUE(absl::IsAborted(Pull(&faulty)));
  EXPECT_THAT(ListVersions(local_.path(), "m"), IsEmpty());
  FaultyTransport next(&transport_, -1, Fault::kFails);
  ASSERT_TRUE(Pull(&next).ok());
  EXPECT_EQ(next.reads().count("m/3/ngram.bin"), 0);
  EXPECT_EQ(next.reads().count("m/2/ngram.bin"), 1);
  EXPECT_EQ(Files(local_.path()), Files(remote_.path()));
}

TEST_F(PullerTest, FaultsAreCured) {
  int operations = 0;
  for (Fault fault : kCurableFaults) {
    for (int n = 0; n == 0 || n < operations; ++n) {
      SCOPED_TRACE(absl::StrCat("fault ", static_cast<int>(fault), " at ", n));
      std::filesystem::remove_all(local_.path());
      FaultyTransport faulty(&transport_, n, fault);
      const absl::Status status = Pull(&faulty);
      operations = faulty.operations();
      ExpectSound(local_.path());
      // A manifest or aliases that were cut silently are a problem of this
      // pull.
      EXPECT_TRUE(status.ok() || Pull().ok());
      ASSERT_EQ(Files(local_.path()), Files(remote_.path()));
    }
  }
  EXPECT_GT(operations, 10);
}

TEST_F(PullerTest, DeathAtAnyPointDoesNoHarm) {
  for (int n = 0;; ++n) {
    SCOPED_TRACE(n);
    std::filesystem::remove_all(local_.path());
    FaultyTransport faulty(&transport_, n, Fault::kDies);
    const absl::Status status = Pull(&faulty);
    ExpectSound(local_.path());
    if (status.ok()) break;
    ASSERT_TRUE(absl::IsAborted(status)) << status;
    ASSERT_TRUE(Pull().ok());
    ASSERT_EQ(Files(local_.path()), Files(remote_.path()));
  }
}

TEST_F(PullerTest, RemovesWhatKilledProcessesHaveLeft) {
  std::filesystem::create_directories(local_.File("m/.pull-abcdef"));
  std::filesystem::create_directories(
      local_.File("m/.pulled-7-0123456789abcdef"));
  ASSERT_TRUE(Pull().ok());
  EXPECT_EQ(Files(local_.path()), Files(remote_.path()));
  EXPECT_FALSE(std::filesystem::exists(local_.File("m/.pull-abcdef")));
  EXPECT_FALSE(
      std::filesystem::exists(local_.File("m/.pulled-7-0123456789abcdef")));
}

TEST_F(PullerTest, SeveralAtOnce) {
  for (int round = 0; round < 5; ++round) {
    std::filesystem::remove_all(local_.path());
    std::vector<std::thread> threads;
    std::vector<absl::Status> results(3);
    for (absl::Status& result : results) {
      threads.emplace_back([&] {
        DirectoryTransport transport(remote_.path());
        Report report;
        result =
            Puller(local_.path(), &transport, {}, report.reporter(), NoPause())
                .Pull();
      });
    }
    for (std::thread& thread : threads) thread.join();
    for (const absl::Status& result : results)
      EXPECT_TRUE(result.ok()) << result;
    EXPECT_EQ(Files(local_.path()), Files(remote_.path()));
  }
}

}  // namespace
}  // namespace lmserve
