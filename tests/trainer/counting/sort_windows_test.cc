// SPDX-License-Identifier: Apache-2.0
#include "trainer/counting/sort_windows.h"

#include <map>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/testing/temporary_directory.h"
#include "trainer/counting/ordered_hash.h"
#include "trainer/counting/spill.h"
#include "trainer/counting/window_key.h"

namespace lmserve {
namespace {

using Words = std::vector<WordId>;

// Returns a random window: frequent words have small ids, and </s> ends it.
Words RandomWindow(int order, uint64_t vocabulary, std::mt19937_64& random) {
  Words window(order, 0);
  for (WordId& word : window) {
    const uint64_t limit = 1 + random() % vocabulary;
    word = random() % limit;
    if (word == kEndId) break;
    if (word == kBeginId) word = kUnknownId;
  }
  return window;
}

TEST(OrderedHash, KeepsTheOrderOfWindows) {
  std::mt19937_64 random(1);
  for (uint64_t vocabulary : {3, 10, 5000}) {
    std::vector<uint64_t> counts;
    for (uint64_t i = 0; i < vocabulary; ++i) {
      counts.push_back(random() % 3 == 0 ? 0 : random() % 1000000);
    }
    const OrderedHash hash(counts);
    const WindowPacking packing(5, vocabulary);
    const auto number = [&](const Words& window) {
      return packing.Hash(hash, packing.Pack<2>(window.data()));
    };
    for (int i = 0; i < 20000; ++i) {
      Words a = RandomWindow(5, vocabulary, random);
      Words b = a;
      b[random() % 5] = random() % vocabulary;
      if (b < a) std::swap(a, b);
      ASSERT_LE(number(a), number(b));
      ASSERT_EQ(packing.Pack<2>(a.data()) < packing.Pack<2>(b.data()), a < b);
    }
  }
}

TEST(WindowPacking, UnpacksWhatItPacks) {
  std::mt19937_64 random(1);
  for (int order : {1, 2, 5, 16, 32}) {
    for (uint64_t vocabulary :
         {3ul, 4ul, 5ul, 65536ul, 65537ul, 2147483648ul}) {
      const WindowPacking packing(order, vocabulary);
      for (int i = 0; i < 200; ++i) {
        const Words a = RandomWindow(order, vocabulary, random);
        Words b = a;
        const int place = random() % order;
        b[place] = random() % vocabulary;
        const auto key = packing.Pack<16>(a.data());
        Words unpacked(order);
        packing.Unpack(key, unpacked.data());
        ASSERT_EQ(unpacked, a);
        ASSERT_EQ(packing.Shared(key, packing.Pack<16>(b.data())),
                  a == b ? order : place);
      }
    }
  }
}

// The parameters are the order, the vocabulary, whether windows have counts,
// and the memory.
class SortWindowsTest
    : public testing::TestWithParam<std::tuple<int, uint64_t, bool, uint64_t>> {
};

TEST_P(SortWindowsTest, MatchesAMap) {
  const auto [order, vocabulary, has_counts, memory] = GetParam();
  constexpr int kWindows = 30000, kPartitions = 3;
  std::mt19937_64 random(order);
  std::map<Words, uint64_t> expected;
  std::vector<uint64_t> counts(std::min<uint64_t>(vocabulary, 1 << 20));
  std::vector<std::pair<Words, uint64_t>> windows;
  for (int i = 0; i < kWindows; ++i) {
    Words window = RandomWindow(order, vocabulary, random);
    for (WordId& word : window)
      word = std::min<WordId>(word, counts.size() - 1);
    // Of all sizes, but no more than kMaxCounted together.
    const uint64_t count =
        has_counts ? 1 + (random() >> (24 + random() % 40)) : 1;
    ++counts[window[0]];
    expected[window] += count;
    windows.emplace_back(window, count);
  }
  const TemporaryDirectory directory;
  const OrderedHash hash(counts);
  const SpillFormat format = {
      .order = order, .has_counts = has_counts, .vocabulary = vocabulary};
  auto files =
      SpillFiles::Create(directory.File("spill-"), kPartitions, format).value();
  SpillWriter writer(*files, hash, 1000);
  for (const auto& [window, count] : windows) writer.Add(window.data(), count);
  ASSERT_TRUE(writer.Close().ok());

  std::map<Words, uint64_t> found;
  for (int i = 0; i < kPartitions; ++i) {
    const Partition partition = {
        .path = directory.File(absl::StrCat("spill-", i)),
        .rows = files->rows(i),
        .index = i,
        .partitions = kPartitions};
    const std::string path = directory.File(absl::StrCat("part-", i));
    ASSERT_TRUE(SortWindows(partition, format, hash, memory, path).ok());
    auto reader = WindowReader::Open(path, order, vocabulary).value();
    while (reader->Next()) {
      const Words window(reader->window(), reader->window() + order);
      // The partitions follow each other.
      EXPECT_TRUE(found.empty() || found.rbegin()->first < window);
      found[window] = reader->count();
    }
    EXPECT_TRUE(reader->status().ok()) << reader->status();
  }
  EXPECT_TRUE(found == expected);
}

INSTANTIATE_TEST_SUITE_P(
    All, SortWindowsTest,
    testing::Combine(testing::Values(1, 2, 3, 5, 32),
                     testing::Values(4, 1000, 1 << 20, 2147483648),
                     testing::Bool(), testing::Values(100000, 1 << 30)));

TEST(SortWindows, ATruncatedFileIsAnError) {
  const TemporaryDirectory directory;
  const SpillFormat format = {.order = 3, .has_counts = false, .vocabulary = 5};
  const OrderedHash hash({1, 1, 1, 1, 1});
  auto files = SpillFiles::Create(directory.File("spill-"), 1, format).value();
  SpillWriter writer(*files, hash, 1000);
  const WordId window[] = {3, 4, 4};
  for (int i = 0; i < 100; ++i) writer.Add(window, 1);
  ASSERT_TRUE(writer.Close().ok());
  const std::string path = directory.File("spill-0");
  for (int cut : {1, 4, 50}) {
    std::filesystem::resize_file(path, files->rows(0) * 4 - cut);
    EXPECT_FALSE(SortWindows({.path = path, .rows = 100}, format, hash, 1 << 20,
                             directory.File("part"))
                     .ok());
  }
}

}  // namespace
}  // namespace lmserve
