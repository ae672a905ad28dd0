// SPDX-License-Identifier: Apache-2.0
#include "models/ngram/compact/count_trie_builder.h"

#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/ngram/compact/bits.h"

namespace lmserve {
namespace {

constexpr WordId kBegin = 1;
constexpr CountSmoothing kSmoothing = {{0, 0.5, 0.5, 0.5}, 0};

TEST(BitWriter, WritesWhatIsRead) {
  std::mt19937_64 random(1);
  BitWriter writer;
  for (int round = 0; round < 3; ++round) {
    writer.Clear();
    std::vector<std::pair<uint64_t, int>> fields;
    for (int i = 0; i < 10'000; ++i) {
      const int width = random() % (kMaxFieldBits + 1);
      const uint64_t value = random() & ((uint64_t{1} << width) - 1);
      fields.emplace_back(value, width);
      writer.Append(value, width);
    }
    writer.FinishByte();
    const std::string bytes = writer.bytes() + std::string(8, '\0');
    uint64_t bit = 0;
    for (const auto& [value, width] : fields) {
      ASSERT_EQ(
          ReadBits(reinterpret_cast<const uint8_t*>(bytes.data()), bit, width),
          value);
      bit += width;
    }
    EXPECT_EQ(writer.bytes().size(), (bit + 7) / 8);
  }
}

// Builds a bigram model of `words` words, the first of which have `children`
// children each.
std::string BuildBigrams(WordId words, WordId contexts, uint32_t children) {
  CountTrieBuilder builder(std::vector<uint64_t>(words, 1), kBegin, kSmoothing);
  std::vector<CountedContext::Child> list;
  for (uint32_t i = 0; i < children; ++i) {
    list.push_back({2 + i * ((words - 2) / children), 1});
  }
  const auto visit = [&](absl::FunctionRef<void(const CountedContext&)> add) {
    for (WordId w = 0; w < words; ++w) {
      add({0, w < contexts ? list : std::vector<CountedContext::Child>()});
    }
    return absl::OkStatus();
  };
  RankLevelSurvey survey;
  (void)visit([&](const CountedContext& context) { survey.Add(context); });
  EXPECT_TRUE(builder.AddLevel(survey.Plan(), visit, kSmoothing).ok());
  return builder.Finish();
}

// A bitmap of a large vocabulary would take 60 times as much as a list.
TEST(CountTrieBuilder, LargeVocabulariesHaveNoSparseBitmaps) {
  constexpr WordId kWords = 1'000'000;
  constexpr WordId kContexts = 50;
  constexpr uint32_t kChildren = 1'500;
  const std::string empty = BuildBigrams(kWords, 0, kChildren);
  const std::string file = BuildBigrams(kWords, kContexts, kChildren);
  EXPECT_LT(file.size(), empty.size() + size_t{4} * kContexts * kChildren);
  const absl::StatusOr<CountTrie> trie = CountTrie::Parse(file, kWords, kBegin);
  ASSERT_TRUE(trie.ok()) << trie.status();
  const RankContext context(trie->levels[0], kContexts - 1);
  EXPECT_EQ(context.size(), kChildren);
}

// A source of contexts that fails.
TEST(CountTrieBuilder, ErrorsOfTheSourceAreReturned) {
  CountTrieBuilder builder(std::vector<uint64_t>(5, 1), kBegin, kSmoothing);
  const absl::Status status = builder.AddLevel(
      RankLevelSurvey().Plan(),
      [](absl::FunctionRef<void(const CountedContext&)>) {
        return absl::DataLossError("the source");
      },
      kSmoothing);
  EXPECT_EQ(status, absl::DataLossError("the source"));
}

// Sections that cannot be written.
class BrokenSections final : public LevelSections {
 public:
  void Append(LevelSection, absl::string_view) override {}
  absl::StatusOr<LevelSectionBytes> Finish() override {
    return absl::ResourceExhaustedError("the disk is full");
  }
};

TEST(CountTrieBuilder, ErrorsOfTheSectionsAreReturned) {
  CountTrieBuilder builder(std::vector<uint64_t>(5, 1), kBegin, kSmoothing);
  const absl::Status status = builder.AddLevel(
      RankLevelSurvey().Plan(),
      [](absl::FunctionRef<void(const CountedContext&)>) {
        return absl::OkStatus();
      },
      kSmoothing, std::make_unique<BrokenSections>());
  EXPECT_EQ(status, absl::ResourceExhaustedError("the disk is full"));
}

}  // namespace
}  // namespace lmserve
