// SPDX-License-Identifier: Apache-2.0
//
// Tests that the batches of a text contain every word exactly once, in an order
// that depends only on the seed and the epoch.

#include "trainer/neural/batches.h"

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

using Words = std::vector<WordId>;

constexpr WordId kUnknown = 0, kBegin = 1, kEnd = 2;

// Returns sentences of 0 to 9 words, in the form of Corpus::words. All words
// are different, so a word identifies its position.
Words RandomText(int sentences, uint32_t seed) {
  std::mt19937 random(seed);
  Words words;
  WordId next = 3;
  for (int i = 0; i < sentences; ++i) {
    words.push_back(kBegin);
    for (size_t n = random() % 10; n > 0; --n) words.push_back(next++);
    words.push_back(kEnd);
  }
  return words;
}

// Returns the sentences of a text, each with <s> and </s>.
std::vector<Words> SentencesOf(const Words& text) {
  std::vector<Words> sentences;
  for (WordId word : text) {
    if (word == kBegin) sentences.emplace_back();
    sentences.back().push_back(word);
  }
  return sentences;
}

std::vector<Batch> Epoch(BatchSource* source, uint64_t epoch) {
  source->StartEpoch(epoch);
  std::vector<Batch> batches;
  for (size_t i = 0; i < source->size(); ++i) batches.push_back(source->Get(i));
  return batches;
}

// Returns one stream of data of the shape (steps, streams).
Words Column(const Words& rows, size_t streams, size_t stream) {
  Words column;
  for (size_t i = stream; i < rows.size(); i += streams) {
    column.push_back(rows[i]);
  }
  return column;
}

bool SameBatches(const std::vector<Batch>& a, const std::vector<Batch>& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](const Batch& x, const Batch& y) {
                      return x.steps == y.steps && x.streams == y.streams &&
                             x.inputs == y.inputs && x.targets == y.targets;
                    });
}

void ExpectWhole(const std::vector<Batch>& batches) {
  for (const Batch& batch : batches) {
    ASSERT_GT(batch.steps, 0u);
    ASSERT_GT(batch.streams, 0u);
    ASSERT_EQ(batch.inputs.size(), batch.steps * batch.streams);
  }
}

// Returns all targets, sorted.
Words Targets(const std::vector<Batch>& batches) {
  Words targets;
  for (const Batch& batch : batches) {
    for (WordId target : batch.targets) {
      if (target != kNoTarget) targets.push_back(target);
    }
  }
  std::sort(targets.begin(), targets.end());
  return targets;
}

// Returns all words but <s>, sorted.
Words Predictable(const Words& text) {
  Words words;
  for (WordId word : text) {
    if (word != kBegin) words.push_back(word);
  }
  std::sort(words.begin(), words.end());
  return words;
}

TEST(StreamBatchesTest, ByHand) {
  const Words text = {kBegin, 10, 11, kEnd, kBegin, 12, kEnd, kBegin, 13, kEnd};
  BatchOptions options;
  options.streams = 2;
  options.steps = 2;
  const auto source = MakeStreamBatches(text, kBegin, kEnd, options);
  const std::vector<Batch> batches = Epoch(source.get(), 1);
  // </s> 10 11 </s> 12 | 12 </s> 13 </s>, the last stream is one word shorter.
  ASSERT_EQ(batches.size(), 2u);
  EXPECT_THAT(batches[0].inputs, ElementsAre(kEnd, 12, 10, kEnd));
  EXPECT_THAT(batches[0].targets, ElementsAre(10, kEnd, 11, 13));
  EXPECT_THAT(batches[1].targets, ElementsAre(kEnd, kEnd, 12, kNoTarget));
}

// Each stream continues from batch to batch, and the next stream starts where
// the previous one ends.
TEST(StreamBatchesTest, EveryWordIsPredictedOnceAfterTheOneBefore) {
  for (int sentences : {1, 2, 7, 40}) {
    const Words text = RandomText(sentences, sentences);
    Words stream = {kEnd};
    for (WordId word : text) {
      if (word != kBegin) stream.push_back(word);
    }
    for (size_t streams : {1, 2, 3, 8, 500}) {
      for (size_t steps : {1, 4, 1000}) {
        BatchOptions options;
        options.streams = streams;
        options.steps = steps;
        const auto source = MakeStreamBatches(text, kBegin, kEnd, options);
        const std::vector<Batch> batches = Epoch(source.get(), 1);
        ExpectWhole(batches);
        const size_t width = batches[0].streams;
        EXPECT_LE(width, streams);
        size_t at = 0;  // position in the stream
        for (size_t s = 0; s < width; ++s) {
          for (const Batch& batch : batches) {
            ASSERT_EQ(batch.streams, width);
            ASSERT_LE(batch.steps, steps);
            const Words inputs = Column(batch.inputs, width, s);
            const Words targets = Column(batch.targets, width, s);
            for (size_t t = 0; t < batch.steps; ++t) {
              if (targets[t] == kNoTarget) continue;
              ASSERT_LT(at + 1, stream.size());
              ASSERT_EQ(inputs[t], stream[at]);
              ASSERT_EQ(targets[t], stream[at + 1]);
              ++at;
            }
          }
        }
        EXPECT_EQ(at + 1, stream.size()) << streams << " streams";
      }
    }
  }
}

TEST(StreamBatchesTest, EmptyText) {
  const auto source = MakeStreamBatches({}, kBegin, kEnd, BatchOptions());
  EXPECT_THAT(Epoch(source.get(), 1), IsEmpty());
}

TEST(SentenceBatchesTest, EachSentenceOncePerEpoch) {
  const Words text = RandomText(200, 1);
  BatchOptions options;
  options.streams = 6;
  options.steps = 4;
  const auto source = MakeSentenceBatches(text, kBegin, kEnd, options);
  for (uint64_t epoch : {1, 2, 5}) {
    const std::vector<Batch> batches = Epoch(source.get(), epoch);
    ExpectWhole(batches);
    std::vector<Words> found;
    for (const Batch& batch : batches) {
      EXPECT_LE(batch.streams, options.streams);
      // A sentence may be longer than the limit.
      EXPECT_TRUE(batch.streams == 1 ||
                  batch.inputs.size() <= options.streams * options.steps);
      for (size_t s = 0; s < batch.streams; ++s) {
        Words sentence = Column(batch.inputs, batch.streams, s);
        const Words targets = Column(batch.targets, batch.streams, s);
        // The targets are the inputs shifted by one; all sentences are equally
        // long.
        ASSERT_TRUE(std::equal(sentence.begin() + 1, sentence.end(),
                               targets.begin(), targets.end() - 1));
        sentence.push_back(targets.back());
        found.push_back(sentence);
      }
    }
    EXPECT_THAT(found, testing::UnorderedElementsAreArray(SentencesOf(text)));
  }
}

// There are no more batches than necessary.
TEST(SentenceBatchesTest, BatchesAreFull) {
  const Words text = RandomText(300, 2);
  BatchOptions options;
  options.streams = 7;
  options.steps = 5;
  const auto source = MakeSentenceBatches(text, kBegin, kEnd, options);
  std::map<size_t, size_t> batches_of_length;
  for (const Batch& batch : Epoch(source.get(), 1)) {
    ++batches_of_length[batch.steps];
  }
  std::map<size_t, size_t> sentences_of_length;
  for (const Words& sentence : SentencesOf(text)) {
    ++sentences_of_length[sentence.size() - 1];
  }
  for (const auto& [length, sentences] : sentences_of_length) {
    const size_t most = std::min<size_t>(options.streams, 35 / length);
    EXPECT_EQ(batches_of_length[length], (sentences + most - 1) / most);
  }
}

TEST(SentenceBatchesTest, LongSentences) {
  Words text = {kBegin};
  for (WordId w = 3; w < 103; ++w) text.push_back(w);
  text.push_back(kEnd);
  BatchOptions options;
  options.streams = 3;
  options.steps = 4;
  const auto source = MakeSentenceBatches(text, kBegin, kEnd, options);
  const std::vector<Batch> batches = Epoch(source.get(), 1);
  ASSERT_EQ(batches.size(), 1u);
  EXPECT_EQ(batches[0].steps, 101u);
  EXPECT_EQ(batches[0].streams, 1u);
}

TEST(ClozeBatchesTest, BlanksAreTheTargets) {
  const Words text = RandomText(400, 3);
  BatchOptions options;
  options.streams = 5;
  options.steps = 8;
  const auto source = MakeClozeBatches(text, kBegin, kEnd, kUnknown, options);
  for (uint64_t epoch : {1, 2}) {
    const std::vector<Batch> batches = Epoch(source.get(), epoch);
    ExpectWhole(batches);
    std::vector<Words> found;
    size_t words = 0, blanks = 0;
    for (const Batch& batch : batches) {
      ASSERT_EQ(batch.targets.size(), batch.inputs.size());
      for (size_t s = 0; s < batch.streams; ++s) {
        Words sentence = Column(batch.inputs, batch.streams, s);
        const Words targets = Column(batch.targets, batch.streams, s);
        size_t blanks_here = 0;
        for (size_t t = 0; t < sentence.size(); ++t) {
          EXPECT_EQ(sentence[t] == kUnknown, targets[t] != kNoTarget);
          if (targets[t] == kNoTarget) continue;
          sentence[t] = targets[t];
          ++blanks_here;
        }
        EXPECT_EQ(blanks_here > 0, sentence.size() > 2);
        words += sentence.size() - 2;
        blanks += blanks_here;
        found.push_back(sentence);
      }
    }
    EXPECT_THAT(found, testing::UnorderedElementsAreArray(SentencesOf(text)));
    // A fifth of the words, and more in short sentences.
    EXPECT_GT(blanks, words / 5);
    EXPECT_LT(blanks, words / 2);
  }
}

// Every position is sometimes replaced.
TEST(ClozeBatchesTest, EveryPositionIsSometimesReplaced) {
  const Words text = {kBegin, 5, 6, 7, 8, kEnd};
  const auto source =
      MakeClozeBatches(text, kBegin, kEnd, kUnknown, BatchOptions());
  std::set<WordId> blanks;
  for (uint64_t epoch = 1; epoch <= 60; ++epoch) {
    for (WordId word : Targets(Epoch(source.get(), epoch))) blanks.insert(word);
  }
  EXPECT_THAT(blanks, ElementsAre(5, 6, 7, 8));
}

// Returns sentences of 1 to 9 words, which all differ. A spelling is the word
// plus 1000, and a label the word modulo 7.
std::vector<LabeledIds> LabeledSentences(int count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<LabeledIds> sentences(count);
  WordId next = 3;
  for (LabeledIds& sentence : sentences) {
    for (size_t n = 1 + random() % 9; n > 0; --n, ++next) {
      sentence.words.push_back(next);
      sentence.spellings.push_back(next + 1000);
      sentence.labels.push_back(next % 7);
    }
  }
  return sentences;
}

TEST(LabeledBatchesTest, EachSentenceOncePerEpochWithItsLabels) {
  const std::vector<LabeledIds> sentences = LabeledSentences(200, 1);
  const auto source =
      MakeLabeledBatches(sentences, {.batches = {.streams = 8, .steps = 35}});
  for (uint64_t epoch : {1, 2}) {
    std::vector<Words> found, expected;
    for (const Batch& batch : Epoch(source.get(), epoch)) {
      EXPECT_LE(batch.streams, 8u);
      for (size_t s = 0; s < batch.streams; ++s) {
        found.push_back(Column(batch.inputs, batch.streams, s));
        const Words spellings = Column(batch.spellings, batch.streams, s);
        const Words labels = Column(batch.targets, batch.streams, s);
        for (size_t t = 0; t < batch.steps; ++t) {
          ASSERT_EQ(spellings[t], found.back()[t] + 1000);
          ASSERT_EQ(labels[t], found.back()[t] % 7);
        }
      }
    }
    for (const LabeledIds& s : sentences) expected.push_back(s.words);
    EXPECT_THAT(found, testing::UnorderedElementsAreArray(expected));
  }
}

TEST(LabeledBatchesTest, ASentenceMayHaveOneLabel) {
  std::vector<LabeledIds> sentences = LabeledSentences(50, 2);
  for (LabeledIds& sentence : sentences) sentence.labels.resize(1);
  const auto source = MakeLabeledBatches(sentences, {});
  for (const Batch& batch : Epoch(source.get(), 1)) {
    ASSERT_EQ(batch.targets.size(), batch.streams);
    for (size_t s = 0; s < batch.streams; ++s) {
      ASSERT_EQ(batch.targets[s], batch.inputs[s] % 7);
    }
  }
}

// Words are replaced with their probability, by others in each epoch, and their
// spellings are not.
TEST(LabeledBatchesTest, WordDropout) {
  const std::vector<LabeledIds> sentences = LabeledSentences(400, 3);
  LabeledBatchOptions options;
  options.word_dropout.assign(5000, 0.25f);
  options.word_dropout[4] = 0;
  options.word_dropout[5] = 1;
  const auto source = MakeLabeledBatches(sentences, options);
  size_t words = 0, dropped = 0;
  for (const Batch& batch : Epoch(source.get(), 1)) {
    for (size_t i = 0; i < batch.inputs.size(); ++i) {
      const WordId word = batch.spellings[i] - 1000;
      const bool is_dropped = batch.inputs[i] == kUnknown;
      ASSERT_TRUE(is_dropped || batch.inputs[i] == word);
      ASSERT_FALSE(word == 4 && is_dropped);
      ASSERT_FALSE(word == 5 && !is_dropped);
      ++words;
      dropped += is_dropped;
    }
  }
  EXPECT_NEAR(static_cast<double>(dropped) / static_cast<double>(words), 0.25,
              0.04);
  EXPECT_TRUE(SameBatches(Epoch(source.get(), 1), Epoch(source.get(), 1)));
  EXPECT_FALSE(SameBatches(Epoch(source.get(), 1), Epoch(source.get(), 2)));
}

TEST(WindowBatchesTest, ByHand) {
  const Words text = {kBegin, 10, 11, kEnd, kBegin, kEnd};
  BatchOptions options;
  options.streams = 100;
  const auto source = MakeWindowBatches(text, kBegin, 2, options);
  const std::vector<Batch> batches = Epoch(source.get(), 1);
  ASSERT_EQ(batches.size(), 1u);
  EXPECT_EQ(batches[0].steps, 2u);
  std::vector<std::pair<Words, WordId>> windows;
  for (size_t s = 0; s < 4; ++s) {
    windows.emplace_back(Column(batches[0].inputs, 4, s),
                         batches[0].targets[s]);
  }
  using Window = std::pair<Words, WordId>;
  EXPECT_THAT(windows,
              testing::UnorderedElementsAre(
                  Window({kBegin, kBegin}, 10), Window({kBegin, 10}, 11),
                  Window({10, 11}, kEnd), Window({kBegin, kBegin}, kEnd)));
}

TEST(WindowBatchesTest, EveryWordOnceAfterItsContext) {
  const Words text = RandomText(60, 4);
  for (size_t window : {1, 2, 5, 12}) {
    std::vector<std::pair<Words, WordId>> expected;
    for (const Words& sentence : SentencesOf(text)) {
      for (size_t i = 1; i < sentence.size(); ++i) {
        Words context(window, kBegin);
        context.insert(context.end(), sentence.begin(), sentence.begin() + i);
        context.erase(context.begin(), context.end() - window);
        expected.emplace_back(context, sentence[i]);
      }
    }
    BatchOptions options;
    options.streams = 16;
    const auto source = MakeWindowBatches(text, kBegin, window, options);
    std::vector<std::pair<Words, WordId>> found;
    const std::vector<Batch> batches = Epoch(source.get(), 3);
    ExpectWhole(batches);
    for (const Batch& batch : batches) {
      ASSERT_EQ(batch.steps, window);
      ASSERT_EQ(batch.targets.size(), batch.streams);
      EXPECT_EQ(batch.streams, &batch == &batches.back()
                                   ? (expected.size() - 1) % 16 + 1
                                   : 16);
      for (size_t s = 0; s < batch.streams; ++s) {
        found.emplace_back(Column(batch.inputs, batch.streams, s),
                           batch.targets[s]);
      }
    }
    std::sort(found.begin(), found.end());
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(found, expected);
  }
}

// Runs for all sources with a random order.
class OrderTest
    : public testing::TestWithParam<std::unique_ptr<BatchSource> (*)(
          const Words&, const BatchOptions&)> {
 protected:
  std::unique_ptr<BatchSource> Make(uint64_t seed) const {
    BatchOptions options;
    options.streams = 4;
    options.seed = seed;
    return GetParam()(text_, options);
  }

  const Words text_ = RandomText(100, 6);
};

TEST_P(OrderTest, DependsOnlyOnSeedAndEpoch) {
  const auto source = Make(1), same = Make(1), other = Make(2);
  const std::vector<Batch> first = Epoch(source.get(), 1);
  EXPECT_TRUE(SameBatches(first, Epoch(same.get(), 1)));
  EXPECT_FALSE(SameBatches(first, Epoch(other.get(), 1)));
  EXPECT_FALSE(SameBatches(first, Epoch(source.get(), 2)));
  // The batches do not depend on what was read before.
  EXPECT_TRUE(SameBatches(first, Epoch(source.get(), 1)));
  same->StartEpoch(7);
  same->Get(3);
  same->StartEpoch(1);
  for (size_t i = first.size(); i-- > 0;) {
    EXPECT_TRUE(SameBatches({first[i]}, {same->Get(i)}));
  }
}

std::unique_ptr<BatchSource> Sentences(const Words& text,
                                       const BatchOptions& options) {
  return MakeSentenceBatches(text, kBegin, kEnd, options);
}
std::unique_ptr<BatchSource> Cloze(const Words& text,
                                   const BatchOptions& options) {
  return MakeClozeBatches(text, kBegin, kEnd, kUnknown, options);
}
std::unique_ptr<BatchSource> Windows(const Words& text,
                                     const BatchOptions& options) {
  return MakeWindowBatches(text, kBegin, 3, options);
}

INSTANTIATE_TEST_SUITE_P(Sources, OrderTest,
                         testing::Values(Sentences, Cloze, Windows));

TEST(SplitBatchTest, PartsAreAdjacentStreams) {
  const Batch batch = {2, 3, {1, 2, 3, 4, 5, 6}, {7, 8, 9, 10, 11, 12}};
  const std::vector<Batch> two = SplitBatch(batch, 2);
  ASSERT_EQ(two.size(), 2u);
  EXPECT_EQ(two[0].streams, 1u);
  EXPECT_THAT(two[0].inputs, ElementsAre(1, 4));
  EXPECT_THAT(two[0].targets, ElementsAre(7, 10));
  EXPECT_EQ(two[1].steps, 2u);
  EXPECT_THAT(two[1].inputs, ElementsAre(2, 3, 5, 6));
  EXPECT_THAT(two[1].targets, ElementsAre(8, 9, 11, 12));
}

// A window has only one target.
TEST(SplitBatchTest, Windows) {
  const Batch batch = {2, 3, {1, 2, 3, 4, 5, 6}, {7, 8, 9}};
  const std::vector<Batch> parts = SplitBatch(batch, 3);
  EXPECT_THAT(parts[1].inputs, ElementsAre(2, 5));
  EXPECT_THAT(parts[1].targets, ElementsAre(8));
}

TEST(SplitBatchTest, MorePartsThanStreams) {
  const Batch batch = {1, 2, {1, 2}, {3, 4}};
  size_t streams = 0;
  for (const Batch& part : SplitBatch(batch, 5)) {
    streams += part.streams;
    EXPECT_EQ(part.inputs.size(), part.streams);
  }
  EXPECT_EQ(streams, 2u);
}

TEST(BatchesTest, AllTargets) {
  const Words text = RandomText(50, 8);
  BatchOptions options;
  options.streams = 7;
  options.steps = 3;
  const Words expected = Predictable(text);
  const auto expect_all = [&](std::unique_ptr<BatchSource> source) {
    EXPECT_EQ(Targets(Epoch(source.get(), 1)), expected);
  };
  expect_all(MakeStreamBatches(text, kBegin, kEnd, options));
  expect_all(MakeSentenceBatches(text, kBegin, kEnd, options));
  expect_all(MakeWindowBatches(text, kBegin, 4, options));
}

// After the end of the shorter translation there are inputs without targets.
TEST(TranslationBatchesTest, ByHand) {
  constexpr WordId kSourceEnd = 2;
  TranslationBatchOptions options;
  options.begin = kBegin;
  options.end = kEnd;
  options.source_end = kSourceEnd;
  for (bool reverse : {false, true}) {
    options.reverse_source = reverse;
    const auto source = MakeTranslationBatches(
        {{{20, 21}, {10, 11}}, {{22, 23}, {12}}, {{24}, {13}}}, options);
    source->StartEpoch(1);
    ASSERT_EQ(source->size(), 2u);  // the sources of a batch have one length
    const std::vector<Batch> batches = {source->Get(0), source->Get(1)};
    ExpectWhole(batches);
    EXPECT_THAT(Targets(batches),
                ElementsAre(kEnd, kEnd, kEnd, 10, 11, 12, 13));
    const Batch& two = batches[batches[0].streams == 2 ? 0 : 1];
    EXPECT_EQ(two.steps, 3u);
    EXPECT_THAT(two.inputs, ElementsAre(kBegin, kBegin, 12, 10, kEnd, 11));
    EXPECT_THAT(two.targets, ElementsAre(12, 10, kEnd, 11, kNoTarget, kEnd));
    EXPECT_THAT(two.sources,
                reverse ? ElementsAre(23, 21, 22, 20, kSourceEnd, kSourceEnd)
                        : ElementsAre(22, 20, 23, 21, kSourceEnd, kSourceEnd));
    const std::vector<Batch> parts = SplitBatch(two, 2);
    EXPECT_EQ(parts[1].sources.size(), 3u);
    EXPECT_EQ(parts[1].inputs[1], 10u);
  }
}

// Every epoch predicts the same pairs, in another order.
TEST(TranslationBatchesTest, EveryPairOncePerEpoch) {
  std::vector<SentencePair> pairs;
  Words all;
  for (WordId i = 0; i < 50; ++i) {
    pairs.push_back({Words(1 + i % 4, 20 + i), Words(1 + i % 3, 100 + i)});
    all.insert(all.end(), pairs.back().target.begin(),
               pairs.back().target.end());
    all.push_back(kEnd);
  }
  std::sort(all.begin(), all.end());
  TranslationBatchOptions options;
  options.batches.streams = 7;
  options.begin = kBegin;
  options.end = kEnd;
  const auto source = MakeTranslationBatches(pairs, options);
  for (uint64_t epoch : {1, 2}) {
    source->StartEpoch(epoch);
    std::vector<Batch> batches;
    for (size_t i = 0; i < source->size(); ++i) {
      batches.push_back(source->Get(i));
      EXPECT_LE(batches.back().streams, 7u);
    }
    ExpectWhole(batches);
    EXPECT_EQ(Targets(batches), all);
  }
}

}  // namespace
}  // namespace lmserve
