// SPDX-License-Identifier: Apache-2.0
#include "trainer/counting/work_directory.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temporary_directory.h"
#include "tests/text_io/compress.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Pointee;

class WorkDirectoryTest : public testing::Test {
 protected:
  std::unique_ptr<WorkDirectory> Open(bool resume) {
    return WorkDirectory::Open(parent_.path(), "task", resume).value();
  }

  const TemporaryDirectory parent_;
};

TEST_F(WorkDirectoryTest, RemembersFinishedStages) {
  {
    const auto work = Open(false);
    EXPECT_EQ(work->Finished("a"), nullptr);
    WriteBytes(work->File("f"), "12345");
    ASSERT_TRUE(work->Finish("a", {"f"}, {1, 1ull << 60}).ok());
    ASSERT_TRUE(work->Finish("b", {}, {}).ok());
    EXPECT_THAT(work->Finished("a"), Pointee(ElementsAre(1, 1ull << 60)));
  }
  {
    const auto work = Open(true);
    EXPECT_THAT(work->Finished("a"), Pointee(ElementsAre(1, 1ull << 60)));
    EXPECT_THAT(work->Finished("b"), Pointee(ElementsAre()));
    EXPECT_TRUE(work->CheckFile("f").ok());
    WriteBytes(work->File("f"), "123");
    EXPECT_THAT(work->CheckFile("f").message(), HasSubstr("another size"));
    std::filesystem::remove(work->File("f"));
    EXPECT_TRUE(absl::IsDataLoss(work->CheckFile("f")));
    EXPECT_FALSE(work->IsRemoved("f"));
    WriteBytes(work->File("f"), "12345");
    work->Remove("f");
    EXPECT_FALSE(std::filesystem::exists(work->File("f")));
  }
  {
    const auto work = Open(true);
    EXPECT_TRUE(work->IsRemoved("f"));
    EXPECT_TRUE(work->CheckFile("f").ok());
    WriteBytes(work->File("f"), "12345");
  }
  const auto work = Open(false);
  EXPECT_EQ(work->Finished("a"), nullptr);
  EXPECT_FALSE(std::filesystem::exists(work->File("f")));
}

// The journal of a process that was killed while it wrote a line.
TEST_F(WorkDirectoryTest, ATornLineIsIgnored) {
  {
    const auto work = Open(false);
    ASSERT_TRUE(work->Finish("a", {}, {7}).ok());
    std::ofstream(work->File("journal"), std::ios::app) << "b\t8";
  }
  {
    const auto work = Open(true);
    EXPECT_THAT(work->Finished("a"), Pointee(ElementsAre(7)));
    EXPECT_EQ(work->Finished("b"), nullptr);
    ASSERT_TRUE(work->Finish("c", {}, {9}).ok());
  }
  EXPECT_THAT(Open(true)->Finished("c"), Pointee(ElementsAre(9)));
}

TEST_F(WorkDirectoryTest, ADamagedJournalIsRefused) {
  { ASSERT_TRUE(Open(false)->Finish("a", {}, {7}).ok()); }
  WriteBytes(parent_.File("lm-task/journal"), "nonsense\n");
  EXPECT_TRUE(absl::IsDataLoss(
      WorkDirectory::Open(parent_.path(), "task", true).status()));
}

// In a directory such as /tmp others can make any name before this process
// does.
TEST_F(WorkDirectoryTest, ADirectoryOfAnotherUserIsRefused) {
  if (geteuid() != 0) GTEST_SKIP() << "only root can give files away";
  const std::string path = parent_.File("lm-task");
  std::filesystem::create_directory(path);
  ASSERT_EQ(chown(path.c_str(), 12345, static_cast<gid_t>(-1)), 0);
  EXPECT_TRUE(WorkDirectory::Open(parent_.path(), "task", true).ok());
  ASSERT_EQ(chmod(parent_.path().c_str(), 01777), 0);
  const auto refused = WorkDirectory::Open(parent_.path(), "task", true);
  EXPECT_TRUE(absl::IsPermissionDenied(refused.status()));
  EXPECT_THAT(refused.status().message(),
              HasSubstr("lm-task: belongs to another user"));
  EXPECT_TRUE(WorkDirectory::Open(parent_.path(), "other", true).ok());
}

TEST_F(WorkDirectoryTest, FilesOfNoFinishedStageAreRemoved) {
  {
    const auto work = Open(false);
    WriteBytes(work->File("f"), "half");
  }
  EXPECT_FALSE(std::filesystem::exists(Open(true)->File("f")));
}

TEST_F(WorkDirectoryTest, IsLocked) {
  const auto work = Open(false);
  EXPECT_TRUE(absl::IsUnavailable(
      WorkDirectory::Open(parent_.path(), "task", true).status()));
  EXPECT_TRUE(WorkDirectory::Open(parent_.path(), "other", true).ok());
}

TEST_F(WorkDirectoryTest, IsRemovedInTheEnd) {
  ASSERT_TRUE(Open(false)->RemoveAll().ok());
  EXPECT_TRUE(std::filesystem::is_empty(parent_.path()));
}

TEST(CheckFreeDisk, SaysWhatIsNeeded) {
  const TemporaryDirectory directory;
  EXPECT_TRUE(CheckFreeDisk(directory.path(), 1, "counting").ok());
  const absl::Status status =
      CheckFreeDisk(directory.path(), 1ull << 60, "counting");
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  EXPECT_THAT(status.message(), HasSubstr("needs about 1152921504.61 GB in"));
  EXPECT_THAT(status.message(), HasSubstr("--temporary"));
}

TEST(FileIdentity, ChangesWithTheFile) {
  const TemporaryDirectory directory;
  const std::string path = directory.File("f");
  WriteBytes(path, "1");
  const std::string before = FileIdentity(path);
  EXPECT_EQ(FileIdentity(path), before);
  WriteBytes(path, "12");
  EXPECT_NE(FileIdentity(path), before);
}

}  // namespace
}  // namespace lmserve
