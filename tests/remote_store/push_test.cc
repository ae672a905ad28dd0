// SPDX-License-Identifier: Apache-2.0
#include "remote_store/push.h"

#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "remote_store/directory_transport.h"
#include "remote_store/puller.h"
#include "remote_store/remote_listing.h"
#include "tests/remote_store/remote_testing.h"

namespace lmserve {
namespace {

using testing::AnyOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class PushTest : public testing::Test {
 protected:
  PushTest() {
    for (int i = 0; i < 2; ++i) PublishTinyModel(local_.path(), "m");
    EXPECT_TRUE(SetAlias(local_.path(), "m", "stable", 1).ok());
  }

  absl::Status Push(Transport* transport, const PushOptions& options = {}) {
    report_ = Report();
    RetryingTransport retrying(transport, {}, NoPause());
    return lmserve::Push(local_.path(), retrying, options, report_.reporter(),
                         NoPause());
  }

  absl::Status Push(const PushOptions& options = {}) {
    return Push(&transport_, options);
  }

  // Checks that a reader of the remote store gets only sound versions.
  void ExpectSoundRemote() {
    const TemporaryDirectory copy;
    Report report;
    const absl::Status status =
        Puller(copy.path(), &transport_, {}, report.reporter(), NoPause())
            .Pull();
    EXPECT_TRUE(status.ok() || absl::IsNotFound(status)) << status;
    EXPECT_THAT(report.problems, IsEmpty());
    ExpectSound(copy.path());
  }

  const TemporaryDirectory local_;
  const TemporaryDirectory remote_;
  DirectoryTransport transport_{remote_.path()};
  Report report_;
};

TEST_F(PushTest, CopiesEverythingOnce) {
  ASSERT_TRUE(Push().ok());
  EXPECT_THAT(report_.done, ElementsAre("pushed m@1", "pushed m@2",
                                        "pushed the aliases of m"));
  EXPECT_EQ(Files(remote_.path()), Files(local_.path()));
  ASSERT_TRUE(Push().ok());
  EXPECT_THAT(report_.done, IsEmpty());
}

TEST_F(PushTest, TakesTheNewestAndWhatIsNamed) {
  PublishTinyModel(local_.path(), "m");
  ASSERT_TRUE(Push({.newest = 1}).ok());
  EXPECT_THAT(ListVersions(remote_.path(), "m"), ElementsAre(1, 3));
}

TEST_F(PushTest, ReportsModelsThatDoNotExist) {
  EXPECT_TRUE(absl::IsNotFound(Push({.models = {"x", "m"}})));
  EXPECT_THAT(report_.problems, ElementsAre("x: not in the store"));
  EXPECT_THAT(report_.done, Contains("pushed m@2"));
}

TEST_F(PushTest, DamageDoesNotSpread) {
  std::string bytes = ReadBytes(local_.File("m/1/ngram.bin"));
  bytes.back() ^= 1;
  WriteBytes(local_.File("m/1/ngram.bin"), bytes);
  EXPECT_TRUE(absl::IsDataLoss(Push()));
  EXPECT_THAT(ListVersions(remote_.path(), "m"), ElementsAre(2));
  // The alias names the version that was not pushed.
  EXPECT_THAT(report_.problems, Contains(HasSubstr("aliases were not pushed")));
  EXPECT_THAT(*ReadAliases(remote_.path(), "m"), IsEmpty());
}

TEST_F(PushTest, NeverChangesAVersion) {
  ASSERT_TRUE(Push().ok());
  const auto before = Files(remote_.path());
  ChangeManifest(local_.File("m/2"), [](lm::v1::Manifest& manifest) {
    (*manifest.mutable_properties())["of"] = "another training";
  });
  EXPECT_TRUE(absl::IsFailedPrecondition(Push()));
  EXPECT_THAT(report_.problems, Contains(HasSubstr("different versions")));
  EXPECT_EQ(Files(remote_.path()), before);
}

TEST_F(PushTest, WithdrawsFromAnotherWriter) {
  std::filesystem::create_directories(remote_.File("m/2"));
  const std::string claim = "m/2/.pushing-0123456789abcdef";
  WriteBytes(remote_.File(claim), "");
  EXPECT_TRUE(absl::IsFailedPrecondition(Push()));
  EXPECT_THAT(report_.problems, Contains(HasSubstr(claim)));
  const auto files = Files(remote_.path());
  EXPECT_EQ(files.size(), 1 + 4 + 1);  // the claim, m@1 and the aliases
  std::filesystem::remove(remote_.File(claim));
  ASSERT_TRUE(Push().ok());
  EXPECT_EQ(Files(remote_.path()), Files(local_.path()));
}

TEST_F(PushTest, FaultsAreCured) {
  int operations = 0;
  for (Fault fault : kCurableFaults) {
    for (int n = 0; n == 0 || n < operations; ++n) {
      SCOPED_TRACE(absl::StrCat("fault ", static_cast<int>(fault), " at ", n));
      std::filesystem::remove_all(remote_.path());
      FaultyTransport faulty(&transport_, n, fault);
      const absl::Status status = Push(&faulty);
      operations = faulty.operations();
      ExpectSoundRemote();
      EXPECT_TRUE(status.ok() || Push().ok());
      ASSERT_EQ(Files(remote_.path()), Files(local_.path()));
    }
  }
  EXPECT_GT(operations, 10);
}

// The half of a file may be there afterwards, even of the manifest.
TEST_F(PushTest, DeathAtAnyPointDoesNoHarm) {
  for (int n = 0;; ++n) {
    SCOPED_TRACE(n);
    std::filesystem::remove_all(remote_.path());
    FaultyTransport faulty(&transport_, n, Fault::kDies);
    const absl::Status status = Push(&faulty);
    if (status.ok()) break;
    ASSERT_TRUE(absl::IsAborted(status)) << status;
    const TemporaryDirectory copy;
    Report report;
    Puller(copy.path(), &transport_, {}, report.reporter(), NoPause())
        .Pull()
        .IgnoreError();
    ExpectSound(copy.path());
    ASSERT_TRUE(Push().ok());
    ASSERT_EQ(Files(remote_.path()), Files(local_.path()));
  }
}

// Writers of different versions of one number: at most one of them gets it, and
// what readers see is sound at each moment.
TEST_F(PushTest, TwoWriters) {
  const TemporaryDirectory other;
  for (int i = 0; i < 2; ++i) PublishTinyModel(other.path(), "m");
  for (const char* version : {"m/1", "m/2"}) {
    ChangeManifest(other.File(version), [](lm::v1::Manifest& manifest) {
      (*manifest.mutable_properties())["of"] = "another training";
    });
  }
  int pushed = 0;
  for (int round = 0; round < 30; ++round) {
    std::filesystem::remove_all(remote_.path());
    const auto push = [&](const std::string& store) {
      DirectoryTransport transport(remote_.path());
      Report report;
      lmserve::Push(store, transport, {.aliases = false}, report.reporter(),
                    NoPause())
          .IgnoreError();
    };
    std::thread writer(push, other.path());
    push(local_.path());
    writer.join();
    ExpectSoundRemote();
    auto remote = Files(remote_.path());
    for (const char* version : {"m/1", "m/2"}) {
      const std::string path = absl::StrCat(version, "/manifest.json");
      if (!remote.contains(path)) continue;
      ++pushed;
      EXPECT_THAT(remote[path], AnyOf(ReadBytes(local_.File(path)),
                                      ReadBytes(other.File(path))));
    }
  }
  EXPECT_GT(pushed, 0);
}

}  // namespace
}  // namespace lmserve
