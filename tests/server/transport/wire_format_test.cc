// SPDX-License-Identifier: Apache-2.0
#include "server/transport/wire_format.h"

#include <algorithm>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lm/v1/language_model.pb.h"
#include "tests/server/small_store.h"
#include "tests/testing/status_text.h"

namespace lmserve {
namespace {

using google::protobuf::Descriptor;
using lm::v1::GenerateRequest;
using lm::v1::ScoreRequest;

// Cuts bytes into pieces of a given size.
std::vector<absl::string_view> Cut(absl::string_view bytes,
                                   size_t piece_size = 1000) {
  std::vector<absl::string_view> pieces;
  for (size_t i = 0; i < bytes.size(); i += piece_size) {
    pieces.push_back(bytes.substr(i, piece_size));
  }
  return pieces;
}

// Returns the bytes of a message with every '~' replaced by a byte that is
// never valid in UTF-8.
template <typename Message>
std::string Corrupt(const std::string& text) {
  std::string bytes = Parse<Message>(text).SerializeAsString();
  std::replace(bytes.begin(), bytes.end(), '~', '\xff');
  return bytes;
}

TEST(ParseMessageTest, InOnePieceOrMany) {
  const ScoreRequest sent = Parse<ScoreRequest>(
      "model: 'tiny' texts { words { words: ['the', 'cat'] } } include_end: "
      "false");
  for (size_t piece_size : {1, 3, 1000}) {
    ScoreRequest received;
    const std::string bytes = sent.SerializeAsString();
    ASSERT_TRUE(ParseMessage(Cut(bytes, piece_size), &received).ok());
    EXPECT_EQ(received.DebugString(), sent.DebugString());
  }
}

TEST(ParseMessageTest, NoBytesAreAnEmptyMessage) {
  ScoreRequest received;
  EXPECT_TRUE(ParseMessage(Cut(""), &received).ok());
  EXPECT_EQ(received.ByteSizeLong(), 0);
}

TEST(ParseMessageTest, EveryTruncationIsRefusedOrAShorterMessage) {
  const std::string bytes =
      Parse<ScoreRequest>("model: 'tiny' texts { text: 'the cat' }")
          .SerializeAsString();
  const size_t whole = bytes.find('\x12');  // where the second field starts
  for (size_t size = 0; size < bytes.size(); ++size) {
    for (size_t piece_size : {1, 1000}) {
      ScoreRequest received;
      const absl::Status status = ParseMessage(
          Cut(absl::string_view(bytes).substr(0, size), piece_size), &received);
      EXPECT_EQ(status,
                size == 0 || size == whole
                    ? absl::OkStatus()
                    : absl::InvalidArgumentError(
                          "the bytes are not a valid lm.v1.ScoreRequest"))
          << size << " bytes";
    }
  }
}

TEST(ParseMessageTest, NamesTheStringThatIsNotUtf8) {
  for (size_t piece_size : {1, 1000}) {
    ScoreRequest received;
    const std::string bytes =
        Corrupt<ScoreRequest>("texts { text: 'the' } texts { text: 'ca~' }");
    EXPECT_EQ(TextOf(ParseMessage(Cut(bytes, piece_size), &received)),
              "INVALID_ARGUMENT: texts[1].text: invalid UTF-8 at byte 2");
  }
}

// The types of messages whose memory exceeds their bytes the most.
TEST(EstimateMemoryTest, IsCloseToTheMemoryUsed) {
  ScoreRequest lines, ids, empty;
  for (int i = 0; i < 1000; ++i) {
    lines.add_texts()->set_text("the cat is small and the dog is not");
    empty.add_texts();
  }
  for (int i = 0; i < 20'000; ++i) {
    if (i % 20 == 0) ids.add_texts();
    ids.mutable_texts(i / 20)->mutable_ids()->add_ids(i % 100);
  }
  for (const ScoreRequest* request : {&lines, &ids, &empty}) {
    const std::string bytes = request->SerializeAsString();
    const uint64_t estimate =
        EstimateMemory(*ScoreRequest::descriptor(), Cut(bytes));
    ScoreRequest parsed;
    ASSERT_TRUE(parsed.ParseFromString(bytes));
    EXPECT_GE(estimate, 0.8 * parsed.SpaceUsedLong());
    EXPECT_LE(estimate, 5 * parsed.SpaceUsedLong());
    for (size_t piece_size : {1, 7}) {
      EXPECT_EQ(
          EstimateMemory(*ScoreRequest::descriptor(), Cut(bytes, piece_size)),
          estimate);
    }
  }
}

TEST(EstimateMemoryTest, AcceptsTruncatedAndInvalidMessages) {
  const std::string bytes =
      Parse<ScoreRequest>("model: 'tiny' texts { words { words: ['the'] } }")
          .SerializeAsString();
  const auto estimate = [](const std::string& some) {
    return EstimateMemory(*ScoreRequest::descriptor(), Cut(some));
  };
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_LE(estimate(bytes.substr(0, size)), estimate(bytes));
  }
  EXPECT_LT(estimate("\xff\xff\xff\xff\xff\xff"), 1000u);
  EXPECT_LT(estimate(std::string(100, '\0')), 1000u);
}

TEST(FindInvalidStringTest, EveryStringOfEveryRequest) {
  const struct {
    const Descriptor* type;
    std::string bytes;
    const char* where;
  } cases[] = {
      {ScoreRequest::descriptor(), Corrupt<ScoreRequest>("model: '~'"),
       "model: invalid UTF-8 at byte 0"},
      {ScoreRequest::descriptor(),
       Corrupt<ScoreRequest>("texts { text: 'a' } texts { text: 'the c~t' }"),
       "texts[1].text: invalid UTF-8 at byte 5"},
      {ScoreRequest::descriptor(),
       Corrupt<ScoreRequest>("texts { words { words: ['a', 'b', 'c~'] } }"),
       "texts[0].words.words[2]: invalid UTF-8 at byte 1"},
      {lm::v1::PredictRequest::descriptor(),
       Corrupt<lm::v1::PredictRequest>("k: 3 model: 'a~'"),
       "model: invalid UTF-8 at byte 1"},
      {lm::v1::PredictRequest::descriptor(),
       Corrupt<lm::v1::PredictRequest>("contexts {} contexts { text: '~' }"),
       "contexts[1].text: invalid UTF-8 at byte 0"},
      {lm::v1::PredictRequest::descriptor(),
       Corrupt<lm::v1::PredictRequest>("contexts { words { words: 'a~' } }"),
       "contexts[0].words.words[0]: invalid UTF-8 at byte 1"},
      {lm::v1::PredictRequest::descriptor(),
       Corrupt<lm::v1::PredictRequest>("contexts {} words: ['a', '~']"),
       "words[1]: invalid UTF-8 at byte 0"},
      {lm::v1::RerankRequest::descriptor(),
       Corrupt<lm::v1::RerankRequest>("models: ['a', '~']"),
       "models[1]: invalid UTF-8 at byte 0"},
      {lm::v1::RerankRequest::descriptor(),
       Corrupt<lm::v1::RerankRequest>("candidates { text { text: 'ab~' } }"),
       "candidates[0].text.text: invalid UTF-8 at byte 2"},
      {lm::v1::RerankRequest::descriptor(),
       Corrupt<lm::v1::RerankRequest>(
           "candidates { text { words { words: '~' } } }"),
       "candidates[0].text.words.words[0]: invalid UTF-8 at byte 0"},
      {lm::v1::RerankRequest::descriptor(),
       Corrupt<lm::v1::RerankRequest>(
           "candidates {} candidates { features { key: 't~' value: 1 } }"),
       "candidates[1].features[0].key: invalid UTF-8 at byte 1"},
      {lm::v1::RerankRequest::descriptor(),
       Corrupt<lm::v1::RerankRequest>("weights { key: '~' value: 1 }"),
       "weights[0].key: invalid UTF-8 at byte 0"},
      {GenerateRequest::descriptor(), Corrupt<GenerateRequest>("model: '~'"),
       "model: invalid UTF-8 at byte 0"},
      {GenerateRequest::descriptor(),
       Corrupt<GenerateRequest>("prompt { text: 'the ~' } max_words: 3"),
       "prompt.text: invalid UTF-8 at byte 4"},
      {GenerateRequest::descriptor(),
       Corrupt<GenerateRequest>("prompt { words { words: ['a', '~'] } }"),
       "prompt.words.words[1]: invalid UTF-8 at byte 0"},
      {GenerateRequest::descriptor(),
       Corrupt<GenerateRequest>("stop_words: ['a', '~']"),
       "stop_words[1]: invalid UTF-8 at byte 0"},
      {lm::v1::GetModelRequest::descriptor(),
       Corrupt<lm::v1::GetModelRequest>("model: 'tiny~'"),
       "model: invalid UTF-8 at byte 4"},
  };
  for (const auto& expected : cases) {
    EXPECT_EQ(FindInvalidString(*expected.type, expected.bytes),
              expected.where);
  }
}

TEST(FindInvalidStringTest, TheFirstOfSeveral) {
  EXPECT_EQ(FindInvalidString(
                *ScoreRequest::descriptor(),
                Corrupt<ScoreRequest>("model: 'x~' texts { text: '~' }")),
            "model: invalid UTF-8 at byte 1");
}

TEST(FindInvalidStringTest, EmptyIfAllStringsAreValid) {
  EXPECT_EQ(FindInvalidString(
                *ScoreRequest::descriptor(),
                Parse<ScoreRequest>("model: '\303\251\342\202\254' texts {}")
                    .SerializeAsString()),
            "");
}

TEST(FindInvalidStringTest, EmptyIfTheBytesAreNotAMessage) {
  EXPECT_EQ(FindInvalidString(*ScoreRequest::descriptor(), "\x0a\x05\xff"), "");
}

// Field 99 does not exist, and `model` is not a number.
TEST(FindInvalidStringTest, IgnoresUnknownFieldsAndWrongTypes) {
  EXPECT_EQ(FindInvalidString(*ScoreRequest::descriptor(),
                              "\x9a\x06\x01\xff\x08\x07"),
            "");
}

}  // namespace
}  // namespace lmserve
