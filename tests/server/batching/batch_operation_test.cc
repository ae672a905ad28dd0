// SPDX-License-Identifier: Apache-2.0
#include "server/batching/batch_operation.h"

#include <memory>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/small_store.h"

namespace lmserve {
namespace {

using testing::ElementsAre;

class BatchOperationTest : public testing::Test {
 protected:
  BatchOperationTest() : start_(model().state_size()) {
    model().Start(start_.data());
  }

  const LanguageModel& model() const { return *tiny_->model().left_to_right(); }

  // Takes the next batch of at most `limit` words; returns the number of words
  // of each of its queries.
  static std::vector<size_t> Take(BatchOperation& operation, size_t limit) {
    std::vector<LanguageModel::Query> batch;
    const size_t words = operation.TakeQueries(limit, &batch);
    EXPECT_LE(words, limit);
    std::vector<size_t> sizes;
    sizes.reserve(batch.size());
    for (const LanguageModel::Query& query : batch) {
      sizes.push_back(query.words.size());
    }
    return sizes;
  }

  const SmallStore files_;
  const std::unique_ptr<const ModelStore> store_ = files_.Open();
  const ModelHandle tiny_ = store_->Get("tiny").value();
  std::vector<std::byte> start_;
  Call call_;
};

TEST_F(BatchOperationTest, CutsATextThatIsTooLong) {
  const std::vector<WordId> words(12, 3);
  std::vector<float> whole(12), cut(12);
  const LanguageModel::Query query = {start_.data(), words, nullptr,
                                      absl::MakeSpan(whole)};
  model().Score({&query, 1});
  const LanguageModel::Query queries[] = {
      {start_.data(), {words.data(), 2}, nullptr, {}},
      {start_.data(), words, nullptr, absl::MakeSpan(cut)}};
  const ModelWork work = {.model = *tiny_, .queries = queries};
  BatchOperation operation(call_, work);
  EXPECT_FALSE(operation.is_exclusive);
  EXPECT_EQ(operation.words_left, 14u);
  // The first part of a text that is cut does not share a batch.
  EXPECT_THAT(Take(operation, 5), ElementsAre(2));
  EXPECT_EQ(operation.words_left, 12u);
  for (size_t size : {5, 5, 2}) {
    std::vector<LanguageModel::Query> batch;
    EXPECT_EQ(operation.TakeQueries(5, &batch), size);
    ASSERT_EQ(batch.size(), 1u);
    model().Score(batch);
  }
  EXPECT_EQ(operation.words_left, 0u);
  EXPECT_EQ(cut, whole);
}

TEST_F(BatchOperationTest, StatesComeAfterAllQueries) {
  const std::vector<WordId> words(3, 3);
  const LanguageModel::Query query = {start_.data(), words, nullptr, {}};
  const std::vector<const std::byte*> states(3, start_.data());
  std::vector<ScoredWord> best(3);
  const ModelWork work = {.model = *tiny_,
                          .queries = {&query, 1},
                          .states = states,
                          .k = 1,
                          .best = absl::MakeSpan(best)};
  BatchOperation operation(call_, work);
  EXPECT_EQ(Take(operation, 2).size(), 1u);
  EXPECT_EQ(operation.TakeStates(100, false), 0u);
  EXPECT_EQ(Take(operation, 2).size(), 1u);
  const size_t cost = (operation.words_left) / states.size();
  EXPECT_EQ(operation.TakeStates(2 * cost, false), 2 * cost);
  EXPECT_EQ(operation.first_state(), 0u);
  EXPECT_EQ(operation.end_state(), 2u);
  // An empty batch has room for a state whatever it costs.
  EXPECT_EQ(operation.TakeStates(0, false), 0u);
  EXPECT_EQ(operation.TakeStates(0, true), cost);
  EXPECT_EQ(operation.first_state(), 2u);
  EXPECT_EQ(operation.end_state(), 3u);
  EXPECT_EQ(operation.words_left, 0u);
}

TEST_F(BatchOperationTest, SentencesAreNotCut) {
  const std::vector<absl::string_view> words(9, "the");
  std::vector<size_t> labels(9);
  std::vector<TaggerModel::Sentence> sentences;
  for (size_t size : {2, 0, 9, 1}) {
    sentences.push_back({{words.data(), size}, {labels.data(), size}});
  }
  const ModelWork work = {.model = *tiny_, .tagged = sentences};
  BatchOperation operation(call_, work);
  EXPECT_FALSE(operation.is_exclusive);
  EXPECT_EQ(operation.words_left, 13u);  // one without words counts as one
  EXPECT_EQ(operation.TakeSentences(4, true), 3u);
  EXPECT_EQ(operation.Taken(work.tagged).size(), 2u);
  // A long sentence waits for a batch of its own.
  EXPECT_EQ(operation.TakeSentences(4, false), 0u);
  EXPECT_TRUE(operation.Taken(work.tagged).empty());
  EXPECT_EQ(operation.TakeSentences(4, true), 9u);
  EXPECT_EQ(operation.Taken(work.tagged).data(), &sentences[2]);
  EXPECT_EQ(operation.words_left, 1u);
  EXPECT_EQ(operation.TakeSentences(0, false), 0u);
  EXPECT_EQ(operation.TakeSentences(1, false), 1u);
  EXPECT_EQ(operation.words_left, 0u);
  EXPECT_TRUE(operation.Taken(work.classified).empty());
}

TEST_F(BatchOperationTest, OtherWorkIsExclusive) {
  bool done = false;
  const auto work = [&] { done = true; };
  BatchOperation operation(call_, *tiny_, 7, work);
  EXPECT_TRUE(operation.is_exclusive);
  EXPECT_EQ(operation.words_left, 7u);
  operation.RunExclusive();
  EXPECT_TRUE(done);
  EXPECT_EQ(operation.words_left, 0u);
}

}  // namespace
}  // namespace lmserve
