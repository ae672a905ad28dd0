// SPDX-License-Identifier: Apache-2.0
#include "trainer/counting/merge_counts.h"

#include <sys/stat.h>

#include <cstdio>
#include <string>
#include <vector>

#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temporary_directory.h"
#include "tests/trainer/counting/counting.h"
#include "text_io/byte_source.h"

namespace lmserve {
namespace {

using testing::HasSubstr;

class MergeCountsTest : public testing::Test {
 protected:
  MergeCountsTest() {
    options_.corpus = directory_.File("text");
    WriteBytes(options_.corpus,
               HostileText() + "\n" + ZipfText(1, 40000, 3000));
    options_.memory = 64 << 20;
  }

  // Counts a shard and returns the directory of its counts.
  std::string CountShard(uint64_t shard, uint64_t shards) {
    CountOptions options = options_;
    options.text.min_count = 1;
    options.shard = shard;
    options.shards = shards;
    auto work = WorkDirectory::Open(directory_.path(), "shard", false).value();
    std::string output =
        directory_.File(absl::StrCat("counts-", shard, "-", shards));
    const absl::Status status = CountText(options, *work, output);
    EXPECT_TRUE(status.ok()) << status;
    return output;
  }

  absl::StatusOr<FullCounts> Merge(const MergeOptions& options) {
    auto work = WorkDirectory::Open(directory_.path(), "merge", false).value();
    const std::string output = work->File("merged");
    absl::Status status = MergeCounts(options, *work, output);
    if (!status.ok()) return status;
    return ReadFullCounts(output, options.memory, options.threads, *work);
  }

  // Counts all shards, in any order, and compares their sum with the whole.
  void Compare(uint64_t shards, uint64_t memory = 64 << 20) {
    MergeOptions merge;
    for (uint64_t i = shards; i-- > 0;) {
      merge.inputs.push_back(CountShard(i, shards));
    }
    merge.min_count = options_.text.min_count;
    merge.threads = 2;
    merge.memory = memory;
    const auto found = Merge(merge);
    ASSERT_TRUE(found.ok()) << found.status();
    ExpectSame(CountInMemory(options_), *found);
  }

  const TemporaryDirectory directory_;
  CountOptions options_;
};

TEST_F(MergeCountsTest, OneShard) { Compare(1); }
TEST_F(MergeCountsTest, TwoShards) { Compare(2); }
TEST_F(MergeCountsTest, SevenShards) { Compare(7); }
// Some shards are empty.
TEST_F(MergeCountsTest, ManyShards) { Compare(40); }
TEST_F(MergeCountsTest, LittleMemory) { Compare(3, 3 << 20); }

TEST_F(MergeCountsTest, RareWordsAreThoseOfAllShards) {
  options_.text.min_count = 3;
  Compare(4);
}

TEST_F(MergeCountsTest, AFixedVocabulary) {
  options_.text.vocabulary_file = directory_.File("vocabulary");
  WriteBytes(options_.text.vocabulary_file, "w1 a w0 the\nw2 b");
  Compare(3);
}

TEST_F(MergeCountsTest, SumsCanBeMerged) {
  MergeOptions merge;
  merge.inputs = {CountShard(0, 3), CountShard(1, 3)};
  {
    auto work = WorkDirectory::Open(directory_.path(), "first", false).value();
    ASSERT_TRUE(MergeCounts(merge, *work, directory_.File("sum")).ok());
  }
  merge.inputs = {CountShard(2, 3), directory_.File("sum")};
  ExpectSame(CountInMemory(options_), Merge(merge).value());
}

TEST_F(MergeCountsTest, CountsThatDoNotMatchAreRefused) {
  MergeOptions merge;
  merge.inputs = {CountShard(0, 2), ""};
  const auto problem = [&](const std::string& input) {
    merge.inputs[1] = input;
    return std::string(Merge(merge).status().message());
  };
  options_.order = 3;
  EXPECT_THAT(problem(CountShard(1, 2)),
              HasSubstr("order: expected 5, found 3"));
  options_.order = 5;
  options_.text.vocabulary_file = directory_.File("vocabulary");
  WriteBytes(options_.text.vocabulary_file, "a b");
  const std::string fixed = CountShard(1, 3);
  EXPECT_THAT(problem(fixed), HasSubstr("--vocabulary everywhere or nowhere"));
  WriteBytes(options_.text.vocabulary_file, "b a");
  merge.inputs[0] = fixed;
  EXPECT_THAT(problem(CountShard(2, 3)),
              HasSubstr("line 4: expected the words"));
  EXPECT_THAT(problem(directory_.File("missing")), HasSubstr("missing"));
}

// Words as no program of ours writes them.
TEST_F(MergeCountsTest, DamagedWordsAreRefused) {
  WriteBytes(options_.corpus, "a b c\n");
  MergeOptions merge;
  merge.inputs = {CountShard(0, 1)};
  const std::string path = merge.inputs[0] + "/words";
  const std::string words = ReadAllBytes(path).value();
  const auto problem = [&](const std::string& from, const std::string& to) {
    WriteBytes(path, absl::StrReplaceAll(words, {{from, to}}));
    return std::string(Merge(merge).status().message());
  };
  EXPECT_EQ(problem("", ""), "");
  EXPECT_THAT(problem("\tb\n", "\ta\n"), HasSubstr("each word once"));
  EXPECT_THAT(problem("\tb\n", "\t</s>\n"), HasSubstr("only at the start"));
  EXPECT_THAT(problem("\tb\n", "\tb\n1\t9\td\n"),
              HasSubstr("line 7: expected the end after 6 words"));
  EXPECT_THAT(problem("1\t2\tb\n", ""), HasSubstr("6 words, found 5"));
}

// A pipe without a writer does not block the merge.
TEST_F(MergeCountsTest, FilesOfOtherKindsAreRefused) {
  WriteBytes(options_.corpus, "a b c\n");
  MergeOptions merge;
  merge.inputs = {CountShard(0, 1)};
  const std::string path = merge.inputs[0] + "/words";
  ASSERT_EQ(std::remove(path.c_str()), 0);
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  EXPECT_THAT(std::string(Merge(merge).status().message()),
              HasSubstr("words: expected a file, found a"));
}

TEST_F(MergeCountsTest, TheSumsAreLimited) {
  MergeOptions merge;
  for (const char* name : {"one", "two"}) {
    merge.inputs.push_back(directory_.File(name));
    std::filesystem::create_directory(merge.inputs.back());
    CountsManifest manifest;
    manifest.order = 1;
    manifest.vocabulary = 4;
    manifest.parts = {{"part", 1}};
    ASSERT_TRUE(WriteCountsManifest(merge.inputs.back(), manifest).ok());
    WriteBytes(merge.inputs.back() + "/words",
               "0\t0\t<unk>\n0\t0\t<s>\n0\t0\t</s>\n5\t0\ta\n");
    auto writer =
        WindowWriter::Create(merge.inputs.back() + "/part", 1).value();
    const WordId word = 3;
    writer->Add(&word, 0, (uint64_t{1} << 55) + 1);
    ASSERT_TRUE(writer->Close(/*is_durable=*/false).ok());
  }
  EXPECT_THAT(Merge(merge).status().message(),
              HasSubstr("expected counts of at most 2^56 in all inputs"));
}

TEST_F(MergeCountsTest, ThePartsMustHaveTheWindowsThatTheManifestSays) {
  WriteBytes(options_.corpus, "a b c\n");
  MergeOptions merge;
  merge.inputs = {CountShard(0, 1)};
  CountsManifest manifest = ReadCountsManifest(merge.inputs[0]).value();
  manifest.parts[0].windows += 7;
  ASSERT_TRUE(WriteCountsManifest(merge.inputs[0], manifest).ok());
  EXPECT_THAT(Merge(merge).status().message(),
              HasSubstr("windows: expected 12, found 5"));
}

// The need of disk is not known if an input does not tell it.
TEST_F(MergeCountsTest, NumbersOfNgramsMayBeMissing) {
  MergeOptions merge;
  merge.inputs = {CountShard(0, 3), CountShard(1, 3), CountShard(2, 3)};
  CountsManifest manifest = ReadCountsManifest(merge.inputs[1]).value();
  ASSERT_EQ(manifest.ngrams.size(), 5u);
  manifest.ngrams.clear();
  ASSERT_TRUE(WriteCountsManifest(merge.inputs[1], manifest).ok());
  auto work = WorkDirectory::Open(directory_.path(), "merge", false).value();
  ASSERT_TRUE(MergeCounts(merge, *work, directory_.File("sum")).ok());
  EXPECT_TRUE(ReadCountsManifest(directory_.File("sum"))->ngrams.empty());
}

}  // namespace
}  // namespace lmserve
