// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "server/handlers/rerank.h"
#include "tests/server/handlers/rerank_fixture.h"
#include "tests/testing/neural_models.h"

namespace lmserve {
namespace {

using lm::v1::RerankRequest;
using lm::v1::RerankResponse;

// Calls with candidates that were scored before, by models of every kind. The
// answers are compared with those of a server without a cache.
class RerankCacheTest : public testing::Test {
 protected:
  RerankCacheTest() {
    PublishTranslationModel(files_.path(), "de-en", "die katze hund ist",
                            "the cat dog is");
    PublishTranslationModel(files_.path(), "en-de", "the cat dog is",
                            "die katze hund ist");
    PublishRecurrentModel(files_.path(), "lstm", "the cat dog is");
    PublishBidirectionalModel(files_.path(), "both", "the cat dog is");
    store_ = files_.Open();
    StartCache(1 << 20);
    uncached_.emplace(*store_, limits_, BatcherOptions(), 0);
  }

  // Starts with an empty cache.
  void StartCache(uint64_t bytes) {
    BatcherOptions counted;
    counted.on_batch = [this](const BatcherOptions::Batch& batch) {
      words_ += batch.words;
    };
    serving_.reset();
    serving_.emplace(*store_, limits_, counted, bytes);
  }

  static RerankResponse Answer(const TestServing& serving,
                               const RerankRequest& request) {
    RerankResponse response;
    const absl::Status status =
        serving.Answer(HandleRerank, request, &response);
    EXPECT_TRUE(status.ok()) << status;
    return response;
  }

  // Expects the same answer, to the bit, with and without the cache. Returns
  // how many words the models read with it.
  size_t WordsRead(const std::string& text) {
    const RerankRequest request = Parse<RerankRequest>(text);
    const size_t before = words_;
    const RerankResponse response = Answer(*serving_, request);
    EXPECT_EQ(response.SerializeAsString(),
              Answer(*uncached_, request).SerializeAsString());
    return words_ - before;
  }

  absl::Status Change(void (ModelStore::*change)(const std::string&, uint64_t,
                                                 ModelStore::Done),
                      const std::string& model, uint64_t version) {
    std::promise<absl::Status> changed;
    (*store_.*change)(model, version, [&](const absl::Status& status) {
      changed.set_value(status);
    });
    return changed.get_future().get();
  }

  const SmallStore files_;
  std::unique_ptr<ModelStore> store_;
  const Limits limits_ = {};
  std::atomic<size_t> words_ = 0;  // that the models of serving_ read
  std::optional<TestServing> serving_;
  std::optional<TestServing> uncached_;
};

constexpr char kAllKinds[] =
    "models: ['tiny', 'lstm', 'both', 'de-en'] reverse_models: 'en-de' "
    "source { text: 'die katze' } "
    "candidates { text { text: 'the cat is' } } "
    "candidates { text { text: 'cat the unheard' } } "
    "candidates {} "
    "candidates { text { text: 'the dog' } } ";

TEST_F(RerankCacheTest, OtherWeightsCostNoWork) {
  EXPECT_GT(WordsRead(kAllKinds), 0u);
  for (const char* weighing :
       {"", "weights { key: 'lstm' value: 0.5 }",
        "weights { key: 'en-de' value: 2 } weights { key: 'tiny' value: 1 }",
        "normalization: NORMALIZATION_MEAN",
        "normalization: NORMALIZATION_POWER alpha: 0.5",
        "best: 1 minimum_bayes_risk {}"}) {
    EXPECT_EQ(WordsRead(absl::StrCat(kAllKinds, weighing)), 0u) << weighing;
  }
  EXPECT_EQ(serving_->score_cache().counts().misses, 5u * 4);
  EXPECT_EQ(serving_->score_cache().counts().hits, 6u * 5 * 4);
}

TEST_F(RerankCacheTest, OnlyNewTextsAreScored) {
  WordsRead(kAllKinds);
  const std::string more =
      absl::StrCat("candidates { text { text: 'the' } } ", kAllKinds,
                   "candidates { text { text: 'is it' } } "
                   "candidates { text { text: 'the dog' } } ");
  // For the two new texts, "the </s>" and "is it </s>", tiny and lstm read five
  // words each. both reads n words n times: 1 and 4. de-en reads the source and
  // its end, 3 words, and the texts, 5. en-de reads the texts as sources with
  // an end each, 2 and 3, and twice the source as a translation, 3.
  EXPECT_EQ(WordsRead(more), 5u + 5 + (1 + 4) + (3 + 5) + (2 + 3 + 3 + 3));
  EXPECT_EQ(WordsRead(more), 0u);
}

TEST_F(RerankCacheTest, AnotherSourceIsScoredAgain) {
  const auto request = [](const char* source) {
    return absl::StrCat("models: 'de-en' source { text: '", source, "' } ",
                        kTwo);
  };
  const size_t words = WordsRead(request("die katze"));
  EXPECT_EQ(WordsRead(request("katze die")), words);
  EXPECT_EQ(WordsRead(request("die katze")), 0u);
}

TEST_F(RerankCacheTest, AnotherVersionScoresAgain) {
  const std::string request = absl::StrCat("models: 'tiny' ", kTwo);
  const size_t words = WordsRead(request);
  PublishArpa(files_.path(), "tiny", FlatArpa());
  std::promise<absl::Status> refreshed;
  store_->Refresh([&](const absl::Status& s) { refreshed.set_value(s); });
  ASSERT_TRUE(refreshed.get_future().get().ok());
  ASSERT_EQ(store_->Get("tiny").value()->version(), 3u);
  EXPECT_EQ(WordsRead(request), words);
  EXPECT_EQ(WordsRead(request), 0u);
}

TEST_F(RerankCacheTest, TheSameVersionLoadedAgainScoresAgain) {
  const std::string request = absl::StrCat("models: 'lstm' ", kTwo);
  const size_t words = WordsRead(request);
  ASSERT_TRUE(Change(&ModelStore::Unload, "lstm", 1).ok());
  ASSERT_TRUE(Change(&ModelStore::Load, "lstm", 1).ok());
  EXPECT_EQ(WordsRead(request), words);
}

TEST_F(RerankCacheTest, ACancelledCallLeavesNothing) {
  class CancelledCall final : public Call {
   public:
    bool IsCancelled() const override { return true; }
  };
  CancelledCall call;
  RerankResponse response;
  EXPECT_TRUE(absl::IsCancelled(Wait(HandleRerank(
      **serving_, call, Parse<RerankRequest>(kAllKinds), &response))));
  EXPECT_EQ(serving_->score_cache().counts().bytes, 0u);
  EXPECT_GT(WordsRead(kAllKinds), 0u);
}

// The cache is too small for all texts: some are always scored again.
TEST_F(RerankCacheTest, ManyCallsAtATime) {
  StartCache(1500);
  const RerankRequest request = Parse<RerankRequest>(kAllKinds);
  const std::string expected = Answer(*uncached_, request).SerializeAsString();
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(Answer(*serving_, request).SerializeAsString(), expected);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(serving_->score_cache().counts().bytes, 1500u);
}

}  // namespace
}  // namespace lmserve
