// SPDX-License-Identifier: Apache-2.0
#include "trainer/counting/count_text.h"

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

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/sanitizers.h"
#include "tests/testing/shared_data.h"
#include "tests/testing/temporary_directory.h"
#include "tests/trainer/counting/counting.h"
#include "text_io/byte_source.h"
#include "trainer/demo/demo_corpus.h"

namespace lmserve {
namespace {

using testing::HasSubstr;

constexpr uint64_t kSmallMemory = 3 << 20;
constexpr uint64_t kLargeMemory = 256 << 20;

std::string DemoText(int sentences) {
  DemoCorpus corpus(1);
  std::string text;
  for (int i = 0; i < sentences; ++i)
    absl::StrAppend(&text, corpus.Next(), "\n");
  return text;
}

// The parameter is the name of a text.
class CountTextTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    options_.corpus = directory_.File("text");
    WriteBytes(options_.corpus, Text());
    options_.memory = kLargeMemory;
  }

  static std::string Text() {
    const std::string name = GetParam();
    if (name == "demo") return DemoText(30000);
    if (name == "hostile") return HostileText();
    if (name == "zipf") return ZipfText(1, 40000, 3000);
    return "one sentence\n";
  }

  // Counts the text in files and compares with counting in memory.
  void Compare(bool resume = false) {
    const auto found = CountInFiles(options_, directory_.path(), resume);
    ASSERT_TRUE(found.ok()) << found.status();
    ExpectSame(CountInMemory(options_), *found);
  }

  const TemporaryDirectory directory_;
  CountOptions options_;
};

INSTANTIATE_TEST_SUITE_P(All, CountTextTest,
                         testing::Values("demo", "hostile", "zipf", "tiny"));

TEST_P(CountTextTest, OneThread) { Compare(); }

TEST_P(CountTextTest, SeveralThreads) {
  options_.threads = 3;
  Compare();
}

TEST_P(CountTextTest, LittleMemory) {
  options_.memory = kSmallMemory;
  Compare();
  options_.threads = 2;
  Compare();
}

TEST_P(CountTextTest, OtherOrders) {
  for (int order : {1, 2, 3, 9, 32}) {
    SCOPED_TRACE(order);
    options_.order = order;
    Compare();
  }
}

TEST_P(CountTextTest, RareWordsAreUnknown) {
  options_.text.min_count = 3;
  options_.threads = 2;
  Compare();
}

TEST_P(CountTextTest, AFixedVocabulary) {
  options_.text.vocabulary_file = directory_.File("vocabulary");
  WriteBytes(options_.text.vocabulary_file,
             "zebra w1 a w0 the\nw2 <UNK> <s> b");
  options_.threads = 2;
  Compare();
}

TEST_P(CountTextTest, UnknownWordsAreSkipped) {
  options_.text.rules.unknown = UnwantedWord::kSkip;
  Compare();
}

TEST_P(CountTextTest, AStream) {
  options_.text.rules.form = TextForm::kStream;
  options_.threads = 2;
  Compare();
}

TEST_P(CountTextTest, TheLastRunIsRepeatedWithoutResume) {
  Compare();
  Compare();
}

TEST_P(CountTextTest, AFinishedRunIsResumed) {
  Compare();
  Compare(/*resume=*/true);
}

// Ends the process of a run as soon as a file has appeared.
TEST_P(CountTextTest, AKilledRunIsResumed) {
  options_.threads = 2;
  options_.memory = kSmallMemory;
  const std::string work =
      directory_.File(absl::StrCat("lm-", CountTaskName(options_)));
  for (const char* file :
       {"ids", "text.json", "spill-0", "counts/.part-00000.new",
        "counts/part-00000", "counts/counts.json", "trie-words-5",
        "trie-adjusted-2.0", "trie-links-4", "trie-adjusted-4"}) {
    SCOPED_TRACE(file);
    std::filesystem::remove_all(work);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      (void)!freopen("/dev/null", "w", stderr);
      _exit(CountInFiles(options_, directory_.path()).ok() ? 0 : 1);
    }
    int status = 0;
    const std::string path = absl::StrCat(work, "/", file);
    while (!std::filesystem::exists(path) &&
           waitpid(child, &status, WNOHANG) == 0) {
      std::this_thread::yield();
    }
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    Compare(/*resume=*/true);
  }
}

TEST_P(CountTextTest, AStoppedRunIsResumed) {
  StopFlag stop = true;
  options_.stop = &stop;
  EXPECT_TRUE(
      absl::IsAborted(CountInFiles(options_, directory_.path()).status()));
  stop = false;
  Compare(/*resume=*/true);
}

// The files of a run that was stopped, with other bytes.
TEST_P(CountTextTest, DamagedFilesAreReported) {
  options_.threads = 2;
  const auto work =
      WorkDirectory::Open(directory_.path(), "work", false).value();
  std::filesystem::create_directory(work->File("spill-0"));
  ASSERT_FALSE(CountText(options_, *work, directory_.File("counts")).ok());
  std::filesystem::remove(work->File("spill-0"));
  for (const char* name : {"ids", "id-map", "text.json"}) {
    const std::string bytes = ReadAllBytes(work->File(name)).value();
    for (char damage : {'\0', '\x7F', '\xFF'}) {
      SCOPED_TRACE(absl::StrCat(name, " ", int{damage}));
      WriteBytes(work->File(name), std::string(bytes.size(), damage));
      const absl::Status status =
          CountText(options_, *work, directory_.File("counts"));
      EXPECT_TRUE(absl::IsDataLoss(status)) << status;
    }
    WriteBytes(work->File(name), bytes);
  }
  EXPECT_TRUE(CountText(options_, *work, directory_.File("counts")).ok());
}

// A limit of the size of files is as good as a full disk.
TEST_P(CountTextTest, ARunThatFilledTheDiskIsResumed) {
  const std::string work =
      directory_.File(absl::StrCat("lm-", CountTaskName(options_)));
  for (rlim_t limit : {100, 3000, 30000, 200000, 500000}) {
    SCOPED_TRACE(limit);
    std::filesystem::remove_all(work);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      (void)!freopen("/dev/null", "w", stderr);
      signal(SIGXFSZ, SIG_IGN);
      const rlimit size = {limit, limit};
      setrlimit(RLIMIT_FSIZE, &size);
      const auto counts = CountInFiles(options_, directory_.path());
      _exit(counts.ok() || absl::StrContains(counts.status().message(),
                                             "File too large")
                ? 0
                : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    EXPECT_EQ(status, 0) << "another error than expected";
    Compare(/*resume=*/true);
  }
}

// Mounts a file system of `kilobytes` at a directory, or changes its size.
bool MountMemory(const std::string& path, int kilobytes, unsigned long flags) {
  const std::string size = absl::StrCat("size=", kilobytes, "k");
  return mount("tmpfs", path.c_str(), "tmpfs", flags, size.c_str()) == 0;
}

// A file system that is full, and grows until the work fits.
TEST(CountText, WorkThatFilledAFileSystemIsResumed) {
  const TemporaryDirectory directory;
  const std::string path = directory.File("small");
  std::filesystem::create_directory(path);
  int kilobytes = 64;
  // Only this process sees what it mounts.
  if (unshare(CLONE_NEWNS) != 0 ||
      mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
      !MountMemory(path, kilobytes, 0)) {
    GTEST_SKIP() << "mounting is not permitted";
  }
  CountOptions options;
  options.corpus = directory.File("text");
  WriteBytes(options.corpus, ZipfText(1, 10000, 1000));
  options.memory = kSmallMemory;
  auto found = CountInFiles(options, path, /*resume=*/true);
  int failures = 0;
  for (; !found.ok() && kilobytes < 1 << 20; ++failures) {
    EXPECT_TRUE(absl::IsResourceExhausted(found.status())) << found.status();
    kilobytes += kilobytes / 8;
    ASSERT_TRUE(MountMemory(path, kilobytes, MS_REMOUNT));
    found = CountInFiles(options, path, /*resume=*/true);
  }
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_GT(failures, 5);
  ExpectSame(CountInMemory(options), *found);
  umount(path.c_str());
}

TEST(CountText, TheFirstBadLineIsReported) {
  const TemporaryDirectory directory;
  CountOptions options;
  options.corpus = directory.File("text");
  options.threads = 4;
  std::string text = ZipfText(1, 100000, 100);
  const auto damage = [&text](int line) {
    size_t place = 0;
    for (int i = 1; i < line; ++i) place = text.find('\n', place) + 1;
    text.insert(place, "\xFF ");
  };
  damage(90000);
  damage(60000);
  WriteBytes(options.corpus, text);
  const auto counts = CountInFiles(options, directory.path());
  EXPECT_EQ(counts.status().message(),
            options.corpus +
                " line 60000: invalid UTF-8 (accepted with --invalid-utf8 skip "
                "or replace)");
  EXPECT_EQ(ReadCorpusFile(options.corpus, {}).status(), counts.status());
}

TEST(CountText, ATextWithoutSentencesIsRefused) {
  const TemporaryDirectory directory;
  CountOptions options;
  options.corpus = directory.File("text");
  WriteBytes(options.corpus, "\n \n");
  EXPECT_EQ(CountInFiles(options, directory.path()).status(),
            ReadCorpusFile(options.corpus, {}).status());
}

TEST(CountText, AWordThatIsTooLongIsRefused) {
  const TemporaryDirectory directory;
  CountOptions options;
  options.corpus = directory.File("text");
  WriteBytes(options.corpus, "a " + std::string(kMaxWordSize + 1, 'x') + "\n");
  EXPECT_EQ(CountInFiles(options, directory.path()).status(),
            ReadCorpusFile(options.corpus, {}).status());
}

TEST(CountText, AVocabularyThatIsTooLargeIsRefused) {
  const TemporaryDirectory directory;
  CountOptions options;
  options.corpus = directory.File("text");
  options.memory = 1 << 20;
  std::string text;
  for (int i = 0; i < 100000; ++i) absl::StrAppend(&text, "word", i, "\n");
  WriteBytes(options.corpus, text);
  const absl::Status status = CountInFiles(options, directory.path()).status();
  EXPECT_TRUE(absl::IsResourceExhausted(status));
  EXPECT_THAT(status.message(), HasSubstr("need more than --memory"));
}

// The memory that a process may have is that before the work, --memory, and
// what is not for tables and buffers of counting: code that was not used
// before, and the reader of the text.
TEST(CountText, TheMemoryIsBounded) {
  if (IsSanitized()) GTEST_SKIP() << "sanitizers reserve memory";
  const TemporaryDirectory directory;
  CountOptions options;
  options.corpus = directory.File("text");
  options.memory = 24 << 20;
  WriteBytes(options.corpus, ZipfText(1, 500000, 20000));
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
      const rlim_t limit = used + options.memory + (8 << 20);
      const rlimit memory = {limit, limit};
      setrlimit(RLIMIT_AS, &memory);
      if (!in_files) {
        try {
          CountInMemory(options);
        } catch (const std::bad_alloc&) {
          _exit(1);
        }
        _exit(0);
      }
      auto work = WorkDirectory::Open(directory.path(), "work", false).value();
      absl::Status status = CountText(options, *work, work->File("counts"));
      if (!status.ok()) _exit(1);
      const auto manifest = ReadCountsManifest(work->File("counts")).value();
      const auto shape =
          WriteTrie(work->File("counts"), manifest, nullptr, *work).value();
      status = LinkSuffixes(shape, options.memory, 1, nullptr, *work);
      _exit(status.ok() ? 0 : 1);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return status == 0;
  };
  EXPECT_TRUE(run(/*in_files=*/true));
  EXPECT_FALSE(run(/*in_files=*/false)) << "the test bounds nothing";
}

TEST(CountText, ARealCorpus) {
  CountOptions options;
  options.corpus = SharedFile("data/wikitext-2/valid.txt.xz");
  if (options.corpus.empty()) GTEST_SKIP() << "no shared data";
  const TemporaryDirectory directory;
  options.threads = 2;
  options.memory = 8 << 20;
  const auto found = CountInFiles(options, directory.path());
  ASSERT_TRUE(found.ok()) << found.status();
  ExpectSame(CountInMemory(options), *found);
}

}  // namespace
}  // namespace lmserve
