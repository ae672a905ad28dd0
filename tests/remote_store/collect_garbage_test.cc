// SPDX-License-Identifier: Apache-2.0
#include "remote_store/collect_garbage.h"

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

class CollectGarbageTest : public testing::Test {
 protected:
  CollectGarbageTest() {
    for (int i = 0; i < 5; ++i) PublishTinyModel(remote_.path(), "m");
    EXPECT_TRUE(SetAlias(remote_.path(), "m", "stable", 2).ok());
    PublishReranker(remote_.path(), {3});
  }

  absl::Status Collect(Transport* transport, const GarbageOptions& options) {
    report_ = Report();
    RetryingTransport retrying(transport, {}, NoPause());
    return CollectGarbage(retrying, options, report_.reporter(), NoPause());
  }

  absl::Status Collect(const GarbageOptions& options) {
    return Collect(&transport_, options);
  }

  std::vector<uint64_t> Versions() const {
    return ListVersions(remote_.path(), "m");
  }

  const TemporaryDirectory remote_;
  DirectoryTransport transport_{remote_.path()};
  Report report_;
};

TEST_F(CollectGarbageTest, KeepsTheNewestAndWhatIsNamed) {
  ASSERT_TRUE(Collect({.keep = 1}).ok());
  EXPECT_THAT(report_.done, ElementsAre("removed m@1", "removed m@4"));
  EXPECT_THAT(Versions(), ElementsAre(2, 3, 5));
  ExpectSound(remote_.path());
  ASSERT_TRUE(Collect({.keep = 1}).ok());
  EXPECT_THAT(report_.done, IsEmpty());
}

TEST_F(CollectGarbageTest, KeepsN) {
  ASSERT_TRUE(Collect({.keep = 2}).ok());
  EXPECT_THAT(Versions(), ElementsAre(2, 3, 4, 5));
  ASSERT_TRUE(Collect({.keep = 100}).ok());
  EXPECT_THAT(Versions(), ElementsAre(2, 3, 4, 5));
}

TEST_F(CollectGarbageTest, DryRun) {
  const auto before = Files(remote_.path());
  ASSERT_TRUE(Collect({.keep = 1, .dry_run = true}).ok());
  EXPECT_THAT(report_.done, ElementsAre("removed m@1", "removed m@4"));
  EXPECT_EQ(Files(remote_.path()), before);
}

TEST_F(CollectGarbageTest, LeavesAVersionThatIsBeingPushed) {
  std::filesystem::remove(remote_.File("m/5/manifest.json"));
  std::filesystem::remove(remote_.File("m/1/manifest.json"));
  std::filesystem::remove(remote_.File("m/4/selftest.json"));
  WriteBytes(remote_.File("m/1/.pushing-0123456789abcdef"), "");
  EXPECT_TRUE(absl::IsFailedPrecondition(Collect({.keep = 1})));
  EXPECT_THAT(report_.problems, Contains(HasSubstr("m@1: a push of it")));
  EXPECT_THAT(Versions(), ElementsAre(1, 2, 3, 4, 5));
  ASSERT_TRUE(Collect({.keep = 1, .abandoned = true}).ok());
  EXPECT_THAT(Versions(), ElementsAre(2, 3, 4, 5));
}

TEST_F(CollectGarbageTest, DoesNothingWithoutKnowingTheAliases) {
  WriteBytes(remote_.File("m/aliases.json"), "{");
  EXPECT_TRUE(absl::IsDataLoss(Collect({.keep = 1})));
  EXPECT_THAT(Versions(), ElementsAre(1, 2, 3, 4, 5));
}

TEST_F(CollectGarbageTest, AnEmptyRemoteIsAWrongAddress) {
  DirectoryTransport empty(remote_.File("nowhere"));
  EXPECT_TRUE(absl::IsNotFound(Collect(&empty, {.keep = 1})));
}

// A version is whole or does not exist, wherever the collection ends, and the
// next one finishes it.
TEST_F(CollectGarbageTest, DeathAtAnyPointDoesNoHarm) {
  const TemporaryDirectory all;
  std::filesystem::copy(remote_.path(), all.path(),
                        std::filesystem::copy_options::recursive);
  for (int n = 0;; ++n) {
    SCOPED_TRACE(n);
    std::filesystem::remove_all(remote_.path());
    std::filesystem::copy(all.path(), remote_.path(),
                          std::filesystem::copy_options::recursive);
    FaultyTransport faulty(&transport_, n, Fault::kDies);
    const absl::Status status = Collect(&faulty, {.keep = 1});
    for (uint64_t version : Versions()) {
      const std::string directory = remote_.File(absl::StrCat("m/", version));
      if (std::filesystem::exists(directory + "/manifest.json")) {
        EXPECT_TRUE(LoadModel(remote_.path(), "m", version).ok());
      }
    }
    ASSERT_TRUE(Collect({.keep = 1}).ok());
    EXPECT_THAT(Versions(), ElementsAre(2, 3, 5));
    if (status.ok()) break;
  }
}

}  // namespace
}  // namespace lmserve
