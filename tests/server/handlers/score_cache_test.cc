// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/score_cache.h"

#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/small_store.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Score = ScoreCache::Score;
using Words = std::vector<WordId>;

// A score that differs from others in both of its numbers.
Score MakeScore(double log_prob) {
  return {log_prob, static_cast<float>(log_prob / 4)};
}

std::vector<Score> MakeScores(const std::vector<double>& log_probs) {
  std::vector<Score> scores;
  scores.reserve(log_probs.size());
  for (double log_prob : log_probs) scores.push_back(MakeScore(log_prob));
  return scores;
}

class ScoreCacheTest : public testing::Test {
 protected:
  // Returns ln P of a text, if it is in the cache.
  std::optional<double> Find(ScoreCache& cache, const ModelHandle& model,
                             const ScoreCache::Text& text) {
    Score score;
    const bool is_missing = !cache.Find(model, {&text, 1}, {&score, 1}).empty();
    if (is_missing) return std::nullopt;
    EXPECT_EQ(score, MakeScore(score.log_prob));
    return score.log_prob;
  }

  void Insert(ScoreCache& cache, const ModelHandle& model,
              const ScoreCache::Text& text, double log_prob) {
    const Score score = MakeScore(log_prob);
    cache.Insert(model, {&text, 1}, {&score, 1});
  }

  ModelHandle Load() const {
    return LoadModel(files_.path(), "tiny", 1).value();
  }

  // Returns the bytes that a text of this many words takes.
  uint64_t BytesOf(size_t words) {
    ScoreCache cache(kLarge);
    const Words text(words);
    Insert(cache, model_, {{}, text}, 0);
    return cache.counts().bytes;
  }

  static constexpr uint64_t kLarge = 1 << 20;

  const SmallStore files_;
  const ModelHandle model_ = Load();
  const Words a_ = {3, 4}, b_ = {4, 3}, c_ = {3, 4, 5}, none_ = {};
};

TEST_F(ScoreCacheTest, FindsOnlyWhatWasInserted) {
  ScoreCache cache(kLarge);
  Insert(cache, model_, {{}, b_}, -2.5);
  const ScoreCache::Text texts[] = {{{}, a_}, {{}, b_}, {{}, c_}};
  std::vector<Score> scores = MakeScores({7, 7, 7});
  EXPECT_THAT(cache.Find(model_, texts, absl::MakeSpan(scores)),
              ElementsAre(0, 2));
  EXPECT_EQ(scores, MakeScores({7, -2.5, 7}));
  EXPECT_EQ(cache.counts().hits, 1u);
  EXPECT_EQ(cache.counts().misses, 2u);
}

TEST_F(ScoreCacheTest, EveryWordOfTextAndSourceCounts) {
  ScoreCache cache(kLarge);
  const ScoreCache::Text texts[] = {{a_, b_},    {b_, a_},    {a_, none_},
                                    {none_, a_}, {c_, none_}, {none_, none_}};
  const std::vector<Score> scores = MakeScores({-1, -2, -3, -4, -5, -6});
  cache.Insert(model_, texts, scores);
  std::vector<Score> found(6);
  EXPECT_THAT(cache.Find(model_, texts, absl::MakeSpan(found)), IsEmpty());
  EXPECT_EQ(found, scores);
  EXPECT_FALSE(Find(cache, model_, {c_, b_}).has_value());
  EXPECT_FALSE(Find(cache, model_, {a_, c_}).has_value());
}

TEST_F(ScoreCacheTest, TheLeastRecentlyUsedEntryIsEvictedFirst) {
  ScoreCache cache(2 * BytesOf(2));
  Insert(cache, model_, {{}, a_}, -1);
  Insert(cache, model_, {{}, b_}, -2);
  EXPECT_EQ(Find(cache, model_, {{}, a_}), -1);
  Insert(cache, model_, {a_, none_}, -3);
  EXPECT_EQ(Find(cache, model_, {{}, a_}), -1);
  EXPECT_EQ(Find(cache, model_, {{}, b_}), std::nullopt);
  EXPECT_EQ(Find(cache, model_, {a_, none_}), -3);
}

TEST_F(ScoreCacheTest, BytesStayWithinTheBound) {
  const uint64_t bound = 10 * BytesOf(20);
  ScoreCache cache(bound);
  for (WordId i = 0; i < 1000; ++i) {
    const Words words(i % 40, i);
    Insert(cache, model_, {{}, words}, -1);
    ASSERT_LE(cache.counts().bytes, bound);
  }
  EXPECT_GT(cache.counts().bytes, bound / 2);
}

// Of a call with more texts than there is room for, the last ones are kept.
TEST_F(ScoreCacheTest, OneCallMayFillIt) {
  ScoreCache cache(2 * BytesOf(2));
  const ScoreCache::Text texts[] = {{{}, a_}, {{}, b_}, {a_, none_}};
  const std::vector<Score> scores = MakeScores({-1, -2, -3});
  cache.Insert(model_, texts, scores);
  std::vector<Score> found(3);
  EXPECT_THAT(cache.Find(model_, texts, absl::MakeSpan(found)), ElementsAre(0));
}

TEST_F(ScoreCacheTest, ATextThatIsTooLargeEvictsNothing) {
  ScoreCache cache(BytesOf(2));
  Insert(cache, model_, {{}, a_}, -1);
  Insert(cache, model_, {{}, c_}, -2);
  EXPECT_EQ(Find(cache, model_, {{}, a_}), -1);
  EXPECT_EQ(Find(cache, model_, {{}, c_}), std::nullopt);
}

TEST_F(ScoreCacheTest, ACacheOfZeroBytesStaysEmpty) {
  ScoreCache cache(0);
  Insert(cache, model_, {{}, none_}, -1);
  EXPECT_EQ(Find(cache, model_, {{}, none_}), std::nullopt);
  EXPECT_EQ(cache.counts().bytes, 0u);
}

// Two calls may score the same text at the same time, and one call may have the
// same text twice.
TEST_F(ScoreCacheTest, ATextThatIsInsertedAgainTakesNoMoreRoom) {
  ScoreCache cache(kLarge);
  const ScoreCache::Text texts[] = {{{}, a_}, {{}, a_}};
  const std::vector<Score> scores = MakeScores({-1, -1});
  cache.Insert(model_, texts, scores);
  cache.Insert(model_, texts, scores);
  EXPECT_EQ(cache.counts().bytes, BytesOf(2));
}

// A version that is loaded again is another model, even at the same address.
TEST_F(ScoreCacheTest, AModelLoadedAgainHasNoEntries) {
  ScoreCache cache(kLarge);
  for (int i = 0; i < 20; ++i) {
    const ModelHandle model = Load();
    EXPECT_EQ(Find(cache, model, {{}, a_}), std::nullopt);
    Insert(cache, model, {{}, a_}, -i);
    EXPECT_EQ(Find(cache, model, {{}, a_}), -i);
  }
}

TEST_F(ScoreCacheTest, KeepsNoModelLoaded) {
  ScoreCache cache(kLarge);
  ModelHandle model = Load();
  Insert(cache, model, {{}, a_}, -1);
  const std::weak_ptr<const LoadedVersion> gone = model;
  model.reset();
  EXPECT_TRUE(gone.expired());
}

TEST_F(ScoreCacheTest, ManyThreadsFindWhatWasInserted) {
  constexpr WordId kTexts = 64;
  // Too little for the texts of both models, which evict each other.
  ScoreCache cache(kTexts * BytesOf(2));
  const ModelHandle models[] = {model_, Load()};
  std::vector<Words> words;
  for (WordId i = 0; i < kTexts; ++i) words.push_back({i, i + 1});
  const auto work = [&](WordId begin) {
    const double sign = begin % 2 == 0 ? -1 : 1;
    const ModelHandle& model = models[begin % 2];
    for (WordId round = 0; round < 200; ++round) {
      std::vector<ScoreCache::Text> texts;
      std::vector<Score> expected;
      for (WordId i = 0; i < 20; ++i) {
        const WordId text = (begin * 7 + round * 5 + i) % kTexts;
        texts.push_back({words[text], words[(text + 1) % kTexts]});
        expected.push_back(MakeScore(sign * text));
      }
      std::vector<Score> found = expected;
      cache.Find(model, texts, absl::MakeSpan(found));
      EXPECT_EQ(found, expected);
      cache.Insert(model, texts, expected);
    }
  };
  std::vector<std::thread> threads;
  for (WordId t = 0; t < 4; ++t) threads.emplace_back(work, t);
  for (std::thread& thread : threads) thread.join();
  const ScoreCache::Counts counts = cache.counts();
  EXPECT_EQ(counts.hits + counts.misses, 4u * 200 * 20);
  EXPECT_GT(counts.hits, 0u);
  EXPECT_LE(counts.bytes, kTexts * BytesOf(2));
}

}  // namespace
}  // namespace lmserve
