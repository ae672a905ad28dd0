// SPDX-License-Identifier: Apache-2.0
#include "trainer/counting/suffix_links.h"

#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temporary_directory.h"
#include "tests/trainer/counting/counting.h"
#include "text_io/byte_source.h"

namespace lmserve {
namespace {

using testing::HasSubstr;

class SuffixLinksTest : public testing::Test {
 protected:
  void SetUp() override {
    options_.corpus = directory_.File("text");
    WriteBytes(options_.corpus, ZipfText(1, 3000, 200));
    work_ = WorkDirectory::Open(directory_.path(), "count", false).value();
    ASSERT_TRUE(CountText(options_, *work_, Counts()).ok());
  }

  std::string Counts() const { return directory_.File("counts"); }

  // Links the n-grams of the text in a work directory of its own.
  absl::StatusOr<FullCounts> Link(uint64_t memory, int threads) {
    work_.reset();
    work_ = WorkDirectory::Open(directory_.path(), "link", false).value();
    return ReadFullCounts(Counts(), memory, threads, *work_);
  }

  const TemporaryDirectory directory_;
  CountOptions options_;
  std::unique_ptr<WorkDirectory> work_;
};

// The less memory, the more slices, down to one for each context with children.
TEST_F(SuffixLinksTest, MemoryAndThreadsChangeNothing) {
  const FullCounts expected = CountInMemory(options_);
  for (uint64_t memory : {1 << 30, 1 << 17, 20000}) {
    for (int threads : {1, 3}) {
      SCOPED_TRACE(absl::StrCat(memory, " bytes, ", threads, " threads"));
      const auto found = Link(memory, threads);
      ASSERT_TRUE(found.ok()) << found.status();
      ExpectSame(expected, *found);
    }
  }
}

// The rank of a child is its place among the children of the suffix of its
// context.
TEST_F(SuffixLinksTest, Ranks) {
  const FullCounts counts = Link(1 << 20, 1).value();
  const auto manifest = ReadCountsManifest(Counts()).value();
  const auto shape = WriteTrie(Counts(), manifest, nullptr, *work_).value();
  for (int k = 2; k <= 5; ++k) {
    auto reader = TrieReader::Open(shape, k, *work_).value();
    const CountedLevel& below = counts.counts.levels[k - 2];
    while (reader->Next()) {
      const uint64_t begin =
          k == 2 ? 0 : counts.counts.levels[k - 3].children[reader->suffix()];
      for (const TrieChild& child : reader->children()) {
        ASSERT_EQ(below.words[begin + child.rank], child.word);
      }
    }
    EXPECT_TRUE(reader->status().ok());
  }
}

TEST_F(SuffixLinksTest, StopsOnRequest) {
  const StopFlag stop = true;
  const auto manifest = ReadCountsManifest(Counts()).value();
  const auto shape = WriteTrie(Counts(), manifest, nullptr, *work_).value();
  EXPECT_TRUE(absl::IsAborted(LinkSuffixes(shape, 1 << 20, 1, &stop, *work_)));
}

// Resumes work of which a file is damaged, but has its size.
TEST_F(SuffixLinksTest, DamagedFilesAreReported) {
  ASSERT_TRUE(Link(1 << 20, 1).ok());
  const auto resume = [&](uint64_t memory) {
    return ReadFullCounts(Counts(), memory, 2, *work_).status();
  };
  ASSERT_TRUE(resume(1 << 20).ok());
  for (const auto& entry : std::filesystem::directory_iterator(work_->path())) {
    const std::string name = entry.path().filename().string();
    if (!absl::StartsWith(name, "trie-")) continue;
    SCOPED_TRACE(name);
    const std::string bytes = ReadAllBytes(entry.path().string()).value();
    WriteBytes(entry.path().string(), std::string(bytes.size(), '\xFF'));
    EXPECT_TRUE(absl::IsDataLoss(resume(1 << 20))) << resume(1 << 20);
    WriteBytes(entry.path().string(), bytes.substr(1));
    EXPECT_THAT(resume(1 << 20).message(), HasSubstr("another size"));
    WriteBytes(entry.path().string(), bytes);
  }
  EXPECT_TRUE(resume(1 << 20).ok());
}

// The same before the trie is linked, in one slice and in several.
TEST_F(SuffixLinksTest, DamagedFilesAreNotLinked) {
  const CountsManifest manifest = ReadCountsManifest(Counts()).value();
  for (const char* name : {"trie-degrees-1", "trie-degrees-2", "trie-degrees-4",
                           "trie-words-2", "trie-words-3", "trie-words-5"}) {
    for (uint64_t memory : {1 << 20, 20000}) {
      for (char damage : {'\0', '\x7F', '\xFF'}) {
        SCOPED_TRACE(absl::StrCat(name, " ", memory, " ", int{damage}));
        work_.reset();
        work_ = WorkDirectory::Open(directory_.path(), "link", false).value();
        const auto shape =
            WriteTrie(Counts(), manifest, nullptr, *work_).value();
        const std::string path = work_->File(name);
        WriteBytes(path, std::string(std::filesystem::file_size(path), damage));
        const absl::Status status =
            LinkSuffixes(shape, memory, 2, nullptr, *work_);
        EXPECT_TRUE(absl::IsDataLoss(status)) << status;
      }
    }
  }
}

TEST_F(SuffixLinksTest, ADamagedJournalIsReported) {
  ASSERT_TRUE(Link(1 << 20, 1).ok());
  const std::string path = work_->File("journal");
  const std::string journal = ReadAllBytes(path).value();
  const auto resume = [&](absl::string_view numbers) {
    work_.reset();
    WriteBytes(
        path, absl::StrCat(
                  "trie\t", numbers, "\t",
                  journal.substr(journal.rfind('\t', journal.find('\n')) + 1)));
    work_ = WorkDirectory::Open(directory_.path(), "link", true).value();
    return ReadFullCounts(Counts(), 1 << 20, 1, *work_).status();
  };
  const std::string numbers =
      std::vector<std::string>(absl::StrSplit(journal, '\t'))[1];
  EXPECT_TRUE(resume(numbers).ok());
  for (const std::string& damaged :
       {std::string(), std::string("7"), numbers + " 1 2 3", "9" + numbers,
        numbers.substr(0, numbers.find(' ')) + " 9" +
            numbers.substr(numbers.find(' ') + 1),
        absl::StrReplaceAll(numbers, {{" ", " 1"}})}) {
    EXPECT_THAT(resume(damaged).message(), HasSubstr("journal: expected"))
        << damaged;
  }
}

// Windows of which no text can consist: a trigram without its suffix.
TEST_F(SuffixLinksTest, ImpossibleCountsAreReported) {
  const std::string directory = directory_.File("impossible");
  std::filesystem::create_directory(directory);
  auto writer = WindowWriter::Create(directory + "/part", 3).value();
  const WordId window[] = {3, 4, 5};
  writer->Add(window, 0, 1);
  ASSERT_TRUE(writer->Close(true).ok());
  WriteBytes(directory + "/words",
             "0\t0\t<unk>\n0\t0\t<s>\n0\t0\t</s>\n1\t0\ta\n1\t0\tb\n1\t0\tc\n");
  CountsManifest manifest;
  manifest.order = 3;
  manifest.vocabulary = 6;
  manifest.parts = {{"part", 1}};
  ASSERT_TRUE(WriteCountsManifest(directory, manifest).ok());
  const auto found = ReadFullCounts(directory, 1 << 20, 1, *work_);
  EXPECT_EQ(found.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(found.status().message(), HasSubstr("has no suffix"));
}

}  // namespace
}  // namespace lmserve
