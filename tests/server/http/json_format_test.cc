// SPDX-License-Identifier: Apache-2.0
#include "server/http/json_format.h"

#include <cstdint>
#include <cstring>
#include <limits>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lm/v1/language_model.pb.h"
#include "tests/server/small_store.h"

namespace lmserve {
namespace {

using lm::v1::NextWords;
using lm::v1::ScoreRequest;
using lm::v1::TextScore;
using testing::HasSubstr;

template <typename Message>
absl::StatusOr<Message> FromJson(absl::string_view json) {
  std::string wire;
  absl::Status status =
      JsonFormat().ToWire(*Message::descriptor(), json, &wire);
  if (!status.ok()) return status;
  Message message;
  EXPECT_TRUE(message.ParseFromString(wire));
  return message;
}

std::string ToJson(const google::protobuf::Message& message) {
  std::string json;
  JsonFormat().Append(message, &json);
  return json;
}

TEST(JsonFormatTest, NamesAreInLowerCamelCaseOrAsInTheProto) {
  for (const char* json :
       {R"({"model":"tiny","perWord":true,"texts":[{"text":"the cat"}]})",
        R"({"model":"tiny","per_word":true,"texts":[{"text":"the cat"}]})"}) {
    const auto request = FromJson<ScoreRequest>(json);
    ASSERT_TRUE(request.ok()) << request.status();
    EXPECT_EQ(request->ShortDebugString(),
              R"(model: "tiny" texts { text: "the cat" } per_word: true)");
  }
}

TEST(JsonFormatTest, PrintsDefaultsButNotWhatIsNotSet) {
  const std::string json =
      ToJson(Parse<lm::v1::ScoreResponse>("scores { perplexity: 2 }"));
  EXPECT_EQ(json, R"({"scores":[{"logProb":0,"wordCount":0,"unknownCount":0,)"
                  R"("knownLogProb":0,"perplexity":2,"knownPerplexity":0}]})");
}

TEST(JsonFormatTest, RefusesWhatIsNoRequest) {
  const std::string deep =
      absl::StrCat(std::string(200, '['), std::string(200, ']'));
  for (const std::string& json :
       {std::string(""), std::string("{"), std::string("[]"), std::string("1"),
        std::string("{}x"), std::string(R"({"modle":"tiny"})"),
        std::string(R"({"model":1.5})"), std::string(R"({"alternatives":-1})"),
        std::string(R"({"alternatives":4294967296})"),
        std::string(R"({"texts":[{"text":"a","words":{"words":["b"]}}]})"),
        std::string("{\"model\":\"\xff\"}"),
        absl::StrCat(R"({"texts":)", deep, "}")}) {
    const auto request = FromJson<ScoreRequest>(json);
    ASSERT_FALSE(request.ok()) << json;
    EXPECT_EQ(request.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(request.status().message()),
                HasSubstr("the body is not a ScoreRequest in JSON: "));
  }
}

template <typename Float, typename Bits>
Float FromBits(Bits bits) {
  Float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// A client must get the numbers that the model has computed. Only the sign of
// zero is lost: "-0" is an integer to readers of JSON.
TEST(JsonFormatTest, NumbersKeepTheirBits) {
  std::mt19937_64 random(1);
  NextWords words;
  lm::v1::RerankResponse reranked;
  for (int i = 0; i < 5'000; ++i) {
    words.add_log_probs(FromBits<float>(static_cast<uint32_t>(random())));
    reranked.add_weights(FromBits<double>(random()));
  }
  for (const float value : {0.0F, std::numeric_limits<float>::denorm_min(),
                            std::numeric_limits<float>::max(), -1.17549435e-38F,
                            16777217.0F, std::numeric_limits<float>::infinity(),
                            -std::numeric_limits<float>::infinity()}) {
    words.add_log_probs(value);
    reranked.add_weights(value);
  }
  const auto read_words = FromJson<NextWords>(ToJson(words));
  const auto read_reranked = FromJson<lm::v1::RerankResponse>(ToJson(reranked));
  ASSERT_TRUE(read_words.ok() && read_reranked.ok());
  ASSERT_EQ(read_words->log_probs_size(), words.log_probs_size());
  for (int i = 0; i < words.log_probs_size(); ++i) {
    const float a = words.log_probs(i), b = read_words->log_probs(i);
    const double c = reranked.weights(i), d = read_reranked->weights(i);
    if (a == a) {
      ASSERT_EQ(std::memcmp(&a, &b, sizeof(a)), 0) << a << " " << b;
    }
    if (c == c) {
      ASSERT_EQ(std::memcmp(&c, &d, sizeof(c)), 0) << c << " " << d;
    }
  }
}

TEST(JsonFormatTest, NumbersThatJsonLacksAreStrings) {
  TextScore score;
  score.set_log_prob(-std::numeric_limits<double>::infinity());
  lm::v1::ModelVersion version;
  version.set_version(uint64_t{1} << 60);
  EXPECT_THAT(ToJson(score), HasSubstr(R"("logProb":"-Infinity")"));
  EXPECT_EQ(ToJson(version), R"({"name":"","version":"1152921504606846976"})");
}

TEST(JsonFormatTest, LimitsNestingButNotBracketsInStrings) {
  const std::string brackets(1000, '[');
  EXPECT_TRUE(FromJson<ScoreRequest>(
                  absl::StrCat(R"({"model":"\"\\)", brackets, R"("})"))
                  .ok());
  const auto deep = FromJson<ScoreRequest>(
      absl::StrCat(R"({"texts":)", brackets, std::string(1000, ']'), "}"));
  EXPECT_THAT(std::string(deep.status().message()),
              HasSubstr("nested too deeply"));
}

// The budget of answers relies on it.
TEST(JsonFormatTest, IsNotLongerThanItSays) {
  NextWords words;
  for (int i = 0; i < 1000; ++i) {
    words.add_words("<\x01>");
    words.add_ids(i);
    words.add_log_probs(-1.17549435e-38F * static_cast<float>(i + 1));
  }
  TextScore score;
  for (int i = 0; i < 1000; ++i) score.mutable_words()->add_unknown(false);
  for (const google::protobuf::Message* message :
       {static_cast<const google::protobuf::Message*>(&words),
        static_cast<const google::protobuf::Message*>(&score)}) {
    EXPECT_LE(ToJson(*message).size(), JsonFormat::MaxBytes(*message));
  }
}

}  // namespace
}  // namespace lmserve
