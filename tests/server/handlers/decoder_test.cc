// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/decoder.h"

#include <grpcpp/support/status.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "tests/server/handlers/test_serving_context.h"
#include "tests/server/small_store.h"
#include "tests/testing/neural_models.h"
#include "tests/testing/status_text.h"

namespace lmserve {
namespace {

using lm::v1::DecodeRequest;
using lm::v1::DecodeResponse;
using testing::ElementsAre;

constexpr char kText[] = "the cat is small\na dog barks at the cat\n";

class DecoderTest : public testing::TestWithParam<std::string> {
 protected:
  DecoderTest() {
    PublishRecurrentModel(files_.path(), "lstm", kText);
    store_ = files_.Open();
    serving_.emplace(*store_, limits_);
  }

  // Sends the first request.
  void Begin(const std::string& words = "") {
    decoder_.emplace(**serving_, call_);
    const DecodeResponse response =
        Answer(absl::StrCat("start { model: '", GetParam(), "' ", words, " }"));
    started_ = response.started();
  }

  absl::StatusOr<DecodeResponse> TryAnswer(const std::string& request) {
    return TryAnswer(Parse<DecodeRequest>(request));
  }
  absl::StatusOr<DecodeResponse> TryAnswer(const DecodeRequest& request) {
    DecodeResponse response;
    absl::Status status = Wait(decoder_->Answer(request, &response));
    if (!status.ok()) return status;
    return response;
  }
  template <typename Request>
  DecodeResponse Answer(const Request& request) {
    absl::StatusOr<DecodeResponse> response = TryAnswer(request);
    EXPECT_TRUE(response.ok()) << response.status();
    return response.ok() ? *response : DecodeResponse();
  }
  // The error that ends the stream.
  std::string Error(const std::string& request) {
    return TextOf(TryAnswer(request).status());
  }
  // The error of a request that leaves the stream as it is.
  std::string Failure(const std::string& request) {
    const lm::v1::DecodeFailed failed = Answer(request).failed();
    return absl::StrCat(
        absl::StatusCodeToString(static_cast<absl::StatusCode>(failed.code())),
        ": ", failed.message());
  }

  const LanguageModel& model() const {
    return *store_->Get(GetParam()).value()->model().left_to_right();
  }

  const SmallStore files_;
  std::unique_ptr<const ModelStore> store_;
  Limits limits_;
  std::optional<TestServing> serving_;
  Call call_;
  std::optional<Decoder> decoder_;
  lm::v1::DecodeStarted started_;
};

INSTANTIATE_TEST_SUITE_P(Models, DecoderTest, testing::Values("tiny", "lstm"),
                         [](const auto& info) { return info.param; });

TEST_P(DecoderTest, TheStartDescribesTheVocabulary) {
  Begin("words: 'cat' words: 'zebra' words: '</s>' words: '<unk>'");
  const Vocabulary& vocabulary = model().vocabulary();
  EXPECT_EQ(started_.model().name(), GetParam());
  EXPECT_EQ(started_.vocabulary_size(), vocabulary.size());
  EXPECT_EQ(started_.unknown_id(), vocabulary.unknown());
  EXPECT_EQ(started_.end_id(), vocabulary.end_sentence());
  EXPECT_THAT(started_.ids(),
              ElementsAre(vocabulary.Find("cat"), vocabulary.unknown(),
                          vocabulary.end_sentence(), vocabulary.unknown()));
  EXPECT_EQ(started_.most_handles(),
            limits_.decode_bytes / model().state_size());
  EXPECT_EQ(started_.most_extensions(), limits_.words);
  EXPECT_EQ(started_.most_predictions(), limits_.predictions);
  EXPECT_EQ(started_.most_message_bytes(), limits_.message_bytes);
  const uint64_t key = started_.vocabulary_key();
  Begin();
  EXPECT_EQ(started_.vocabulary_key(), key);
}

// A beam search by hand over all hypotheses of two words, which extends all of
// them in one message: each score has the same bits as the score of the text.
TEST_P(DecoderTest, HypothesesScoreAsTheirTexts) {
  Begin();
  const WordId size = model().vocabulary().size();
  std::map<uint32_t, std::vector<WordId>> texts = {{started_.handle(), {}}};
  for (int length = 1; length <= 3; ++length) {
    DecodeRequest request;
    std::vector<std::vector<WordId>> extended_texts;
    for (const auto& [handle, words] : texts) {
      request.add_release(handle);
      for (WordId word = 0; word < std::min<WordId>(size, 6); ++word) {
        if (word == model().vocabulary().begin_sentence()) continue;
        request.mutable_extend()->add_handles(handle);
        request.mutable_extend()->add_words(word);
        extended_texts.push_back(words);
        extended_texts.back().push_back(word);
      }
    }
    const lm::v1::DecodeExtended extended = Answer(request).extended();
    ASSERT_EQ(extended.handles_size(), extended_texts.size());
    texts.clear();
    std::map<std::string, uint64_t> keys;  // of each state
    for (size_t i = 0; i < extended_texts.size(); ++i) {
      const std::vector<WordId>& words = extended_texts[i];
      std::vector<std::byte> state(model().state_size());
      model().Start(state.data());
      std::vector<float> log_probs(words.size());
      const LanguageModel::Query query = {state.data(), words, state.data(),
                                          absl::MakeSpan(log_probs)};
      model().Score({&query, 1});
      EXPECT_EQ(extended.log_probs(i), log_probs.back());
      EXPECT_EQ(extended.unknown(i),
                words.back() == model().vocabulary().unknown());
      const std::string bytes(reinterpret_cast<const char*>(state.data()),
                              state.size());
      const uint64_t key = extended.recombination_keys(i);
      EXPECT_EQ(keys.emplace(bytes, key).first->second, key);
      EXPECT_TRUE(texts.emplace(extended.handles(i), words).second)
          << "a handle that is in use";
    }
    std::set<uint64_t> distinct;
    for (const auto& [state, key] : keys) distinct.insert(key);
    EXPECT_EQ(distinct.size(), keys.size());
  }
}

TEST_P(DecoderTest, BestIsTopK) {
  Begin("words: 'the'");
  const DecodeResponse extended =
      Answer(absl::StrCat("extend { handles: ", started_.handle(),
                          " words: ", started_.ids(0), " }"));
  const uint32_t handle = extended.extended().handles(0);
  const DecodeResponse best = Answer(absl::StrCat(
      "best { handles: ", started_.handle(), " handles: ", handle, " k: 3 }"));
  std::vector<std::byte> start(model().state_size()), state(start.size());
  model().Start(start.data());
  const WordId the = started_.ids(0);
  const LanguageModel::Query query = {
      start.data(), {&the, 1}, state.data(), {}};
  model().Score({&query, 1});
  const std::byte* states[] = {start.data(), state.data()};
  std::vector<ScoredWord> expected(6);
  model().TopK(states, 3, absl::MakeSpan(expected));
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(best.best().ids(i), expected[i].word);
    EXPECT_EQ(best.best().log_probs(i), expected[i].log_prob);
  }
  EXPECT_EQ(best.best().ids_size(), 6);
}

TEST_P(DecoderTest, ScoresOnlyAddsNoHandles) {
  Begin();
  const DecodeResponse response =
      Answer(absl::StrCat("extend { handles: ", started_.handle(),
                          " words: 3 scores_only: true }"));
  EXPECT_EQ(response.extended().log_probs_size(), 1);
  EXPECT_EQ(response.extended().handles_size(), 0);
  EXPECT_EQ(response.extended().recombination_keys_size(), 0);
}

TEST_P(DecoderTest, AHandleIsGoneWithItsLastReference) {
  Begin();
  const std::string handle = absl::StrCat(started_.handle());
  const std::string expected = absl::StrCat(
      "INVALID_ARGUMENT: best.handles[0]: expected a handle of this stream, "
      "found ",
      handle);
  Answer(absl::StrCat("retain: ", handle));
  Answer(absl::StrCat("release: ", handle));
  Answer(absl::StrCat("best { handles: ", handle, " k: 1 } release: ", handle));
  EXPECT_EQ(Failure(absl::StrCat("best { handles: ", handle, " k: 1 }")),
            expected);
  EXPECT_EQ(Failure(absl::StrCat("release: ", handle)),
            absl::StrCat("INVALID_ARGUMENT: release[0]: expected a handle of "
                         "this stream with a reference left, found ",
                         handle));
}

// A request of which one part is not possible changes nothing at all.
TEST_P(DecoderTest, AFailedRequestLeavesTheStates) {
  limits_.decode_bytes = 2 * model().state_size();
  Begin();
  const std::string handle = absl::StrCat(started_.handle());
  const std::string extend =
      absl::StrCat("extend { handles: ", handle, " words: 3 } ");
  const uint32_t second = Answer(extend).extended().handles(0);
  const std::string failing[] = {
      absl::StrCat(extend, "retain: ", handle, " release: ", second),
      absl::StrCat("best { handles: 9 } retain: ", handle,
                   " release: ", second),
      absl::StrCat("retain: ", handle, " retain: 9"),
      absl::StrCat("best { handles: ", handle, " k: 2 } release: ", second,
                   " release: ", second),
  };
  for (const std::string& request : failing) {
    EXPECT_TRUE(Answer(request).has_failed()) << request;
    // Both handles still have one reference each, and no more.
    EXPECT_TRUE(Answer(absl::StrCat("best { handles: ", handle,
                                    " handles: ", second, " k: 1 }"))
                    .has_best())
        << request;
    EXPECT_THAT(Failure(absl::StrCat("release: ", handle, " release: ", second,
                                     " release: ", handle)),
                testing::HasSubstr("release[2]"))
        << request;
  }
  EXPECT_FALSE(Answer(absl::StrCat("release: ", handle, " release: ", second))
                   .has_failed());
}

TEST_P(DecoderTest, BestHasTheWordsOnRequest) {
  Begin();
  const uint32_t size = started_.vocabulary_size();
  const std::string best =
      absl::StrCat("best { handles: ", started_.handle(), " k: ", size);
  EXPECT_EQ(Answer(best + " }").best().words_size(), 0);
  const lm::v1::DecodedBest words = Answer(best + " words: true }").best();
  ASSERT_EQ(words.words_size(), static_cast<int>(size));
  for (int i = 0; i < words.words_size(); ++i) {
    EXPECT_EQ(words.words(i), std::isinf(words.log_probs(i))
                                  ? ""
                                  : model().vocabulary().word(words.ids(i)));
  }
  EXPECT_EQ(words.words(words.words_size() - 1), "") << "<s> is impossible";
}

TEST_P(DecoderTest, OnlyLiveHandlesCountTowardsTheLimit) {
  limits_.decode_bytes = 3 * model().state_size();
  Begin();
  EXPECT_EQ(started_.most_handles(), 3);
  const std::string extend =
      absl::StrCat("extend { handles: ", started_.handle(), " words: 3 ");
  const DecodeResponse first = Answer(extend + "}");
  const DecodeResponse second = Answer(extend + "}");
  EXPECT_EQ(
      Failure(extend + "}"),
      "RESOURCE_EXHAUSTED: handles, with the new ones of extend: expected "
      "at most 3, found 4");
  Answer(extend + " scores_only: true }");
  Answer(absl::StrCat("release: ", first.extended().handles(0)));
  const DecodeResponse third = Answer(extend + "}");
  EXPECT_EQ(third.extended().handles(0), first.extended().handles(0));
}

TEST_P(DecoderTest, TheStatesOfAllDecodersHaveALimit) {
  limits_.all_state_bytes = 3 * model().state_size();
  serving_.emplace(*store_, limits_);
  Begin();
  Decoder other(**serving_, call_);
  const auto start =
      Parse<DecodeRequest>(absl::StrCat("start { model: '", GetParam(), "' }"));
  DecodeResponse response;
  ASSERT_TRUE(Wait(other.Answer(start, &response)).ok());
  EXPECT_EQ(serving_->budgets().state_bytes.taken(), 2 * model().state_size());
  const std::string request =
      absl::StrCat("extend { handles: [", started_.handle(), ", ",
                   started_.handle(), "] words: [3, 3] }");
  const lm::v1::DecodeFailed failed = Answer(request).failed();
  EXPECT_EQ(failed.code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(failed.message(),
              testing::HasSubstr("handles: bytes of their states: "));
  EXPECT_GT(failed.retry_after_seconds(), 0);
  decoder_.reset();
  EXPECT_EQ(serving_->budgets().state_bytes.taken(), model().state_size());
}

TEST_P(DecoderTest, BadRequests) {
  decoder_.emplace(**serving_, call_);
  EXPECT_EQ(Error("best {}"),
            "INVALID_ARGUMENT: step: expected start in the first request of a "
            "stream");
  EXPECT_THAT(Error("start { model: 'none' }"),
              testing::HasSubstr("NOT_FOUND: model 'none' is not served"));
  Begin();
  const std::string handle = absl::StrCat("handles: ", started_.handle());
  const uint32_t size = started_.vocabulary_size();
  const std::pair<std::string, std::string> cases[] = {
      {"start { model: 'tiny' }",
       "step: expected start only in the first request of a stream"},
      {"retain: 7", "retain[0]: expected a handle of this stream, found 7"},
      {"extend { words: 3 }",
       "extend.words: expected 0, one for each of extend.handles, found 1"},
      {absl::StrCat("extend { ", handle, " handles: 9 words: [3, 3] }"),
       "extend.handles[1]: expected a handle of this stream, found 9"},
      {absl::StrCat("extend { ", handle, " words: ", size, " }"),
       absl::StrCat("extend.words[0]: expected the id of a word other than "
                    "<s>, below ",
                    size, ", found ", size)},
      {absl::StrCat("extend { ", handle, " words: 1 }"),
       absl::StrCat("extend.words[0]: expected the id of a word other than "
                    "<s>, below ",
                    size, ", found 1")},
      {absl::StrCat("best { ", handle, " k: ", size + 1, " }"),
       absl::StrCat("best.k: expected 1 to ", size,
                    ", the size of the vocabulary, found ", size + 1)},
  };
  for (const auto& [request, error] : cases) {
    EXPECT_EQ(Failure(request), "INVALID_ARGUMENT: " + error);
  }
  EXPECT_EQ(model().vocabulary().begin_sentence(), 1u);
}

}  // namespace
}  // namespace lmserve
