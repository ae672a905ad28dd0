// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/tag.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "models/tagger_model.h"
#include "models/text.h"
#include "tests/server/handlers/test_serving_context.h"
#include "tests/server/small_store.h"
#include "tests/testing/neural_models.h"

namespace lmserve {
namespace {

using lm::v1::TaggedSentence;
using lm::v1::TagRequest;
using lm::v1::TagResponse;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

constexpr char kText[] = "the cat is small\na dog barks\n";

class TagTest : public testing::Test {
 protected:
  TagTest() {
    PublishTagger(files_.path(), "tagger", kText);
    Open({});
  }

  // Batches have at most `batch_words` words.
  void Open(const Limits& limits, size_t batch_words = 5) {
    serving_.reset();
    limits_ = limits;
    store_ = files_.Open();
    serving_.emplace(*store_, limits_,
                     BatcherOptions{.batch_words = batch_words});
  }

  absl::StatusOr<TagResponse> Try(const TagRequest& request) {
    TagResponse response;
    absl::Status status = serving_->Answer(HandleTag, request, &response);
    EXPECT_EQ(serving_->budgets().answer_bytes.taken(), 0u);
    if (!status.ok()) return status;
    return response;
  }
  TagResponse Tag(const std::string& request) {
    return Try(Parse<TagRequest>(request)).value();
  }

  const TaggerModel& model() const {
    return *store_->Get("tagger").value()->model().tagger();
  }

  // Checks a sentence of a response, which has k alternatives, against what the
  // model itself returns.
  void ExpectTags(const std::string& text, size_t k,
                  const TaggedSentence& found) {
    const std::vector<absl::string_view> words = SplitWords(text);
    const size_t count = model().labels().size();
    std::vector<size_t> labels(words.size());
    std::vector<float> log_probs(words.size() * count);
    const TaggerModel::Sentence sentence = {words, absl::MakeSpan(labels),
                                            absl::MakeSpan(log_probs)};
    if (!words.empty()) model().Tag({&sentence, 1});
    EXPECT_EQ(absl::StrJoin(found.words(), " "), absl::StrJoin(words, " "));
    ASSERT_THAT(found.labels(), SizeIs(words.size()));
    ASSERT_THAT(found.unknown(), SizeIs(words.size()));
    ASSERT_THAT(found.alternatives(), SizeIs(k == 0 ? 0 : words.size()));
    ASSERT_THAT(found.log_probs(), SizeIs(k == 0 ? 0 : words.size()));
    for (size_t i = 0; i < words.size(); ++i) {
      const int t = static_cast<int>(i);
      EXPECT_EQ(found.labels(t), model().labels()[labels[i]]);
      EXPECT_EQ(found.unknown(t), !model().vocabulary().Contains(words[i]));
      if (k == 0) continue;
      const float* row = &log_probs[i * count];
      EXPECT_EQ(found.log_probs(t), row[labels[i]]);
      std::vector<std::pair<float, size_t>> best;
      // Constraints make labels impossible.
      for (size_t label = 0; label < count; ++label) {
        if (std::isfinite(row[label])) best.emplace_back(-row[label], label);
      }
      std::sort(best.begin(), best.end());
      best.resize(std::min(k, best.size()));
      ASSERT_THAT(found.alternatives(t).labels(), SizeIs(best.size()));
      for (size_t j = 0; j < best.size(); ++j) {
        const int place = static_cast<int>(j);
        EXPECT_EQ(found.alternatives(t).labels(place),
                  model().labels()[best[j].second]);
        EXPECT_EQ(found.alternatives(t).log_probs(place), -best[j].first);
      }
    }
  }

  void ExpectError(const std::string& request, absl::StatusCode code,
                   const std::string& message) {
    const absl::Status status = Try(Parse<TagRequest>(request)).status();
    EXPECT_EQ(status.code(), code) << request;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message)) << request;
  }

  const SmallStore files_;
  Limits limits_;
  std::unique_ptr<const ModelStore> store_;
  std::optional<TestServing> serving_;
};

// Sentences of one call and of several batches have the bits that they have
// alone.
TEST_F(TagTest, ReturnsTheLabelsOfTheModel) {
  const std::vector<std::string> sentences = {
      "the cat is small", "", "dog", "a dog zebra barks the small cat", "the"};
  for (size_t batch_words : {1, 5, 100}) {
    Open({}, batch_words);
    for (size_t k : {0, 1, 2, 100}) {
      TagRequest request;
      request.set_model("tagger");
      request.set_alternatives(k);
      for (const std::string& sentence : sentences) {
        request.add_sentences()->set_text(sentence);
      }
      const TagResponse response = Try(request).value();
      EXPECT_EQ(response.model().name(), "tagger");
      ASSERT_THAT(response.sentences(), SizeIs(sentences.size()));
      for (size_t i = 0; i < sentences.size(); ++i) {
        ExpectTags(sentences[i], k, response.sentences(static_cast<int>(i)));
      }
    }
  }
}

TEST_F(TagTest, TakesAllFormsOfSentences) {
  const WordId cat = model().vocabulary().Find("cat");
  const TagResponse response =
      Tag(absl::StrCat("model: 'tagger' sentences { text: ' cat  cat ' } "
                       "sentences { words { words: ['cat', 'cat'] } } "
                       "sentences { ids { ids: [",
                       cat, ", ", cat, "] } } sentences {}"));
  ASSERT_THAT(response.sentences(), SizeIs(4));
  for (int i = 0; i < 3; ++i) ExpectTags("cat cat", 0, response.sentences(i));
  EXPECT_THAT(response.sentences(3).words(), IsEmpty());
}

TEST_F(TagTest, ChecksTheRequest) {
  constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
  ExpectError("model: 'tagger'", kInvalid,
              "sentences: expected at least one, found none");
  ExpectError("model: 'tagger' sentences {} sentences { text: 'a </s>' }",
              kInvalid,
              "sentences[1]: word 1: expected no sentence marker, found </s>");
  ExpectError("model: 'tagger' sentences { words { words: ['a b'] } }",
              kInvalid,
              "sentences[0]: word 0: expected a word without white space");
  ExpectError("model: 'tagger' sentences { ids { ids: [4000000000] } }",
              kInvalid, "sentences[0]: id 0: expected a word id below ");
  ExpectError("model: 'tiny' sentences { text: 'the' }",
              absl::StatusCode::kFailedPrecondition,
              "model: 'tiny' is a left-to-right model: it cannot tag "
              "sentences; it scores, predicts");
  ExpectError("model: 'nobody' sentences {}", absl::StatusCode::kNotFound,
              "nobody");
}

TEST_F(TagTest, LimitsWordsAndAlternatives) {
  constexpr auto kTooMuch = absl::StatusCode::kResourceExhausted;
  Open({.words_per_text = 4, .words = 6, .texts = 2, .predictions = 10});
  EXPECT_TRUE(Try(Parse<TagRequest>("model: 'tagger' alternatives: 2 "
                                    "sentences { text: 'a b c d' } "
                                    "sentences { text: 'a' }"))
                  .ok());
  ExpectError("model: 'tagger' sentences { text: 'a b c d e' }",
              absl::StatusCode::kInvalidArgument,
              "sentences[0]: expected at most 4 words in a text, found 5");
  ExpectError(
      "model: 'tagger' sentences { text: 'a b c d' } "
      "sentences { text: 'a b c' }",
      kTooMuch, "words in the request: expected at most 6, found 7");
  ExpectError("model: 'tagger' sentences {} sentences {} sentences {}",
              kTooMuch, "sentences: expected at most 2, found 3");
  ExpectError(
      "model: 'tagger' alternatives: 2 sentences { text: 'a b c d' } "
      "sentences { text: 'a b' }",
      kTooMuch, "alternatives times words: expected at most 10, found 12");
}

TEST_F(TagTest, ReservesTheMemoryOfTheAnswer) {
  Open({.all_answer_bytes = 4000});
  const std::string ten = "sentences { text: 'a a a a a a a a a a' } ";
  EXPECT_TRUE(Try(Parse<TagRequest>("model: 'tagger' " + ten)).ok());
  ExpectError("model: 'tagger' alternatives: 2 " + ten,
              absl::StatusCode::kResourceExhausted,
              "answer bytes: expected at most 4000, found ");
  ExpectError("model: 'tagger' " + ten + ten + ten,
              absl::StatusCode::kResourceExhausted,
              "answer bytes: expected at most 4000, found ");
}

// A call that is cancelled while its sentences are tagged.
class CallCancelledLater final : public Call {
 public:
  bool IsCancelled() const override { return ++checks_ > 3; }

 private:
  mutable std::atomic<int> checks_ = 0;
};

TEST_F(TagTest, EndsWhenTheCallIsCancelled) {
  CallCancelledLater call;
  TagResponse response;
  TagRequest request = Parse<TagRequest>("model: 'tagger'");
  for (int i = 0; i < 20; ++i) {
    request.add_sentences()->set_text("the cat is small");
  }
  const absl::Status status =
      Wait(HandleTag(**serving_, call, request, &response));
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_LT(response.sentences_size(), 20);
}

}  // namespace
}  // namespace lmserve
