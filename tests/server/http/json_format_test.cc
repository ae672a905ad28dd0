// SPDX-License-Identifier: Apache-2.0
#include "server/http/json_format.h"

#include <cstdint>
#include <limits>
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

TEST(JsonFormatTest, NumbersThatJsonLacksAreStrings) {
  TextScore score;
  score.set_log_prob(-std::numeric_limits<double>::infinity());
  lm::v1::ModelVersion version;
  version.set_version(uint64_t{1} << 60);
  EXPECT_THAT(ToJson(score), HasSubstr(R"("logProb":"-Infinity")"));
  EXPECT_EQ(ToJson(version), R"({"name":"","version":"1152921504606846976"})");
}

TEST(JsonFormatTest, RefusesDeepNestingButNotBracketsInStrings) {
  const std::string brackets(1000, '[');
  EXPECT_TRUE(FromJson<ScoreRequest>(
                  absl::StrCat(R"({"model":"\"\\)", brackets, R"("})"))
                  .ok());
  const auto deep = FromJson<ScoreRequest>(
      absl::StrCat(R"({"texts":)", brackets, std::string(1000, ']'), "}"));
  EXPECT_EQ(deep.status().message(),
            "the body is not a ScoreRequest in JSON: texts[0] at byte 11: "
            "expected an object, found an array");
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
