// SPDX-License-Identifier: Apache-2.0
#include "trainer/ngram/compact_assembly.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/sanitizers.h"
#include "tests/testing/shared_data.h"
#include "tests/testing/temporary_directory.h"
#include "tests/trainer/counting/counting.h"
#include "text_io/byte_source.h"
#include "trainer/demo/demo_corpus.h"
#include "trainer/ngram/compact_estimate.h"

namespace lmserve {
namespace {

using testing::HasSubstr;

constexpr uint64_t kSmallMemory = 3 << 20;

std::string DemoText(int sentences) {
  DemoCorpus corpus(1);
  std::string text;
  for (int i = 0; i < sentences; ++i) {
    absl::StrAppend(&text, corpus.Next(), "\n");
  }
  return text;
}

EstimateOptions WithMethod(const std::string& method) {
  EstimateOptions options;
  options.smoothing.method = method;
  return options;
}

// The file that is built in memory: the reference.
CompactEstimate BuildInMemory(const CountOptions& options,
                              const EstimateOptions& estimate) {
  return EstimateCompact(CountInMemory(options).counts, estimate).value();
}

// Builds the file in a work directory below `temporary`.
absl::StatusOr<AssembledModel> BuildInFiles(const CountOptions& options,
                                            const EstimateOptions& estimate,
                                            WorkDirectory& work) {
  const std::string directory = work.File("counts");
  absl::Status status = CountText(options, work, directory);
  if (!status.ok()) return status;
  const auto manifest = ReadCountsManifest(directory);
  if (!manifest.ok()) return manifest.status();
  const auto shape = WriteTrie(directory, *manifest, options.stop, work);
  if (!shape.ok()) return shape.status();
  status =
      LinkSuffixes(*shape, options.memory, options.threads, options.stop, work);
  if (!status.ok()) return status;
  return AssembleCompact(*shape, estimate, options.threads, options.stop, work);
}

// The parameter is the name of a text.
class CompactAssemblyTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    options_.corpus = directory_.File("text");
    WriteBytes(options_.corpus, Text());
    options_.memory = 256 << 20;
  }

  static std::string Text() {
    const std::string name = GetParam();
    if (name == "demo") return DemoText(30000);
    if (name == "hostile") return HostileText();
    if (name == "zipf") return ZipfText(1, 40000, 3000);
    return "one sentence\n";
  }

  void Compare(bool resume = false,
               const std::string& method = "modified-kneser-ney") {
    const EstimateOptions estimate = WithMethod(method);
    auto work = WorkDirectory::Open(directory_.path(), "work", resume).value();
    const auto found = BuildInFiles(options_, estimate, *work);
    ASSERT_TRUE(found.ok()) << found.status();
    const CompactEstimate expected = BuildInMemory(options_, estimate);
    EXPECT_EQ(found->notes, expected.notes);
    EXPECT_EQ(found->path, work->File("ngram.bin"));
    EXPECT_TRUE(ReadAllBytes(found->path).value() == expected.file.bytes);
  }

  const TemporaryDirectory directory_;
  CountOptions options_;
};

INSTANTIATE_TEST_SUITE_P(All, CompactAssemblyTest,
                         testing::Values("demo", "hostile", "zipf", "tiny"));

TEST_P(CompactAssemblyTest, OneThread) { Compare(); }

TEST_P(CompactAssemblyTest, SeveralThreads) {
  options_.threads = 3;
  Compare();
}

TEST_P(CompactAssemblyTest, LittleMemory) {
  options_.memory = kSmallMemory;
  options_.threads = 2;
  Compare();
}

TEST_P(CompactAssemblyTest, WittenBell) {
  Compare(/*resume=*/false, "witten-bell");
}

TEST_P(CompactAssemblyTest, OtherOrders) {
  for (int order : {1, 2, 3, 9}) {
    SCOPED_TRACE(order);
    options_.order = order;
    Compare();
  }
}

TEST_P(CompactAssemblyTest, AFinishedRunIsResumed) {
  Compare();
  Compare(/*resume=*/true);
}

// Only the file is left of all stages of the assembly.
TEST_P(CompactAssemblyTest, FilesAreRemoved) {
  Compare();
  for (const auto& entry :
       std::filesystem::directory_iterator(directory_.File("lm-work"))) {
    const std::string name = entry.path().filename().string();
    EXPECT_FALSE(absl::StartsWith(name, "level-")) << name;
    EXPECT_FALSE(absl::StartsWith(name, "trie-") && name.back() > '1') << name;
  }
}

// Ends the process of a run as soon as a file has appeared, or a line of the
// journal.
TEST_P(CompactAssemblyTest, AKilledRunIsResumed) {
  options_.threads = 2;
  options_.memory = kSmallMemory;
  const std::string work = directory_.File("lm-work");
  const auto has_line = [&work](const std::string& stage) {
    const auto journal = ReadAllBytes(work + "/journal");
    return journal.ok() && absl::StrContains(*journal, stage);
  };
  for (const std::string place :
       {"survey-5", "survey-1", ".level-1-blocks.new", "level-1-listed",
        ".level-3-blocks.new", "level-3-listed", "level-4-listed",
        ".ngram.bin.new", "ngram.bin", "model"}) {
    SCOPED_TRACE(place);
    std::filesystem::remove_all(work);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      (void)!freopen("/dev/null", "w", stderr);
      auto opened = WorkDirectory::Open(directory_.path(), "work", false);
      _exit(BuildInFiles(options_, {}, **opened).ok() ? 0 : 1);
    }
    int status = 0;
    while (!std::filesystem::exists(absl::StrCat(work, "/", place)) &&
           !has_line(place + "\t") && waitpid(child, &status, WNOHANG) == 0) {
      std::this_thread::yield();
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    Compare(/*resume=*/true);
  }
}

// A limit of the size of files is as good as a full disk.
TEST_P(CompactAssemblyTest, ARunThatFilledTheDiskIsResumed) {
  for (rlim_t limit : {1000, 30000, 100000, 300000}) {
    SCOPED_TRACE(limit);
    std::filesystem::remove_all(directory_.File("lm-work"));
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      (void)!freopen("/dev/null", "w", stderr);
      auto opened = WorkDirectory::Open(directory_.path(), "work", false);
      const std::string directory = (*opened)->File("counts");
      absl::Status status = CountText(options_, **opened, directory);
      const auto shape =
          WriteTrie(directory, ReadCountsManifest(directory).value(), nullptr,
                    **opened)
              .value();
      status.Update(LinkSuffixes(shape, 1 << 20, 1, nullptr, **opened));
      signal(SIGXFSZ, SIG_IGN);
      const rlimit size = {limit, limit};
      setrlimit(RLIMIT_FSIZE, &size);
      status.Update(AssembleCompact(shape, {}, 1, nullptr, **opened).status());
      _exit(status.ok() || absl::StrContains(status.message(), "File too large")
                ? 0
                : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0) << "another error than expected";
    Compare(/*resume=*/true);
  }
}

// In a child process: a file system of `size` in memory at a path, which the
// process alone sees. Returns false if that is not allowed.
bool MountMemory(const std::string& path, const std::string& size) {
  if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) {
    return false;
  }
  return mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
         mount("none", path.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
}

// A run on a disk that is too small fails, and continues when there is space.
TEST(CompactAssembly, AFullDisk) {
  constexpr int kNotAllowed = 77;
  const TemporaryDirectory directory;
  CountOptions options;
  options.corpus = directory.File("text");
  options.threads = 2;
  options.memory = kSmallMemory;
  WriteBytes(options.corpus, ZipfText(1, 40000, 3000));
  const std::string expected = BuildInMemory(options, {}).file.bytes;
  const std::string disk = directory.File("disk");
  std::filesystem::create_directory(disk);
  int failed = 0;
  for (const char* size : {"64k", "500k", "1m", "2m", "4m", "8m"}) {
    SCOPED_TRACE(size);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      (void)!freopen("/dev/null", "w", stderr);
      if (!MountMemory(disk, size)) _exit(kNotAllowed);
      auto work = WorkDirectory::Open(disk, "work", false).value();
      const auto model = BuildInFiles(options, {}, *work);
      if (model.ok()) _exit(0);
      if (!absl::IsResourceExhausted(model.status())) _exit(1);
      work = nullptr;
      if (mount("none", disk.c_str(), "tmpfs", MS_REMOUNT, "size=64m") != 0) {
        _exit(2);
      }
      work = WorkDirectory::Open(disk, "work", true).value();
      const auto resumed = BuildInFiles(options, {}, *work);
      if (!resumed.ok()) _exit(3);
      _exit(ReadAllBytes(resumed->path).value() == expected ? 10 : 4);
    }
    int status = 0;
    waitpid(child, &status, 0);
    ASSERT_TRUE(WIFEXITED(status));
    if (WEXITSTATUS(status) == kNotAllowed) GTEST_SKIP() << "no mounts";
    EXPECT_TRUE(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 10)
        << WEXITSTATUS(status);
    failed += WEXITSTATUS(status) == 10;
  }
  EXPECT_GE(failed, 3) << "the disks are too large for the test";
}

TEST(CompactAssembly, StopsOnRequest) {
  const TemporaryDirectory directory;
  CountOptions options;
  options.corpus = directory.File("text");
  WriteBytes(options.corpus, ZipfText(1, 40000, 3000));
  auto work = WorkDirectory::Open(directory.path(), "work", false).value();
  ASSERT_TRUE(BuildInFiles(options, {}, *work).ok());
  // The counts and the trie of a second directory are finished.
  work = nullptr;
  work = WorkDirectory::Open(directory.path(), "other", false).value();
  const std::string counts = work->File("counts");
  ASSERT_TRUE(CountText(options, *work, counts).ok());
  const auto shape =
      WriteTrie(counts, ReadCountsManifest(counts).value(), nullptr, *work)
          .value();
  ASSERT_TRUE(LinkSuffixes(shape, 1 << 20, 1, nullptr, *work).ok());
  const StopFlag stop = true;
  EXPECT_TRUE(
      absl::IsAborted(AssembleCompact(shape, {}, 1, &stop, *work).status()));
}

// Windows of which no text can consist: a word that is not first in its
// sentence, and has no word before it.
TEST(CompactAssembly, ImpossibleCountsAreReported) {
  const TemporaryDirectory directory;
  auto writer = WindowWriter::Create(directory.File("part"), 3).value();
  const WordId windows[][3] = {{2, 0, 0}, {3, 4, 5}, {4, 5, 2}, {5, 2, 0}};
  for (const auto& window : windows) writer->Add(window, 0, 1);
  ASSERT_TRUE(writer->Close(true).ok());
  WriteBytes(directory.File("words"),
             "0\t0\t<unk>\n0\t0\t<s>\n0\t0\t</s>\n1\t0\ta\n1\t0\tb\n1\t0\tc\n");
  CountsManifest manifest;
  manifest.order = 3;
  manifest.vocabulary = 6;
  manifest.parts = {{"part", 4}};
  auto work = WorkDirectory::Open(directory.path(), "work", false).value();
  const auto shape =
      WriteTrie(directory.path(), manifest, nullptr, *work).value();
  ASSERT_TRUE(LinkSuffixes(shape, 1 << 20, 1, nullptr, *work).ok());
  const absl::Status status =
      AssembleCompact(shape, {}, 1, nullptr, *work).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(status.message(), HasSubstr("has no word before it"));
}

// The memory that a process may have is that before the work, --memory, the
// levels, which are mapped, and what is not for tables and buffers: code that
// was not used before, and the reader of the text.
TEST(CompactAssembly, TheMemoryIsBounded) {
  if (IsSanitized()) GTEST_SKIP() << "sanitizers reserve memory";
  const TemporaryDirectory directory;
  CountOptions options;
  options.corpus = directory.File("text");
  options.memory = 24 << 20;
  WriteBytes(options.corpus, ZipfText(1, 500000, 20000));
  uint64_t mapped = 0;
  {
    auto work = WorkDirectory::Open(directory.path(), "work", false).value();
    const auto model = BuildInFiles(options, {}, *work).value();
    mapped = std::filesystem::file_size(model.path);
  }
  const auto run = [&](bool in_files) {
    const pid_t child = fork();
    if (child == 0) {
      (void)!freopen("/dev/null", "w", stderr);
      const rlim_t used = [] {
        std::ifstream file("/proc/self/statm");
        rlim_t pages = 0;
        file >> pages;
        return pages * sysconf(_SC_PAGESIZE);
      }();
      const rlim_t limit = used + options.memory + mapped + (8 << 20);
      const rlimit memory = {limit, limit};
      setrlimit(RLIMIT_AS, &memory);
      try {
        if (!in_files) {
          BuildInMemory(options, {});
          _exit(0);
        }
        auto work = WorkDirectory::Open(directory.path(), "bounded", false);
        _exit(BuildInFiles(options, {}, **work).ok() ? 0 : 1);
      } catch (const std::bad_alloc&) {
        _exit(1);
      }
    }
    int status = 0;
    waitpid(child, &status, 0);
    return status == 0;
  };
  EXPECT_TRUE(run(/*in_files=*/true));
  EXPECT_FALSE(run(/*in_files=*/false)) << "the test bounds nothing";
}

TEST(CompactAssembly, ARealCorpus) {
  CountOptions options;
  options.corpus = SharedFile("data/wikitext-2/valid.txt.xz");
  if (options.corpus.empty()) GTEST_SKIP() << "no shared data";
  const TemporaryDirectory directory;
  options.threads = 2;
  options.memory = 8 << 20;
  auto work = WorkDirectory::Open(directory.path(), "work", false).value();
  const auto found = BuildInFiles(options, {}, *work);
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_TRUE(ReadAllBytes(found->path).value() ==
              BuildInMemory(options, {}).file.bytes);
}

}  // namespace
}  // namespace lmserve
