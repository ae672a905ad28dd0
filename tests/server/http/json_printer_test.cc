// SPDX-License-Identifier: Apache-2.0
#include "server/http/json_printer.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <nlohmann/json.hpp>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lm/v1/language_model.pb.h"
#include "server/http/json_parser.h"
#include "tests/server/http/json_reference.h"
#include "tests/server/http/json_types.h"

namespace lmserve {
namespace {

using google::protobuf::Message;
using testing::EndsWith;
using testing::HasSubstr;

std::string ToJson(const Message& message) {
  std::string json;
  AppendJson(message, &json);
  EXPECT_LE(json.size(), MaxJsonBytes(message)) << json;
  return json;
}

// All types of messages of the API.
std::vector<std::unique_ptr<Message>> ApiMessages() {
  std::vector<std::unique_ptr<Message>> messages;
  const auto* const file = lm::v1::ScoreRequest::descriptor()->file();
  for (int i = 0; i < file->message_type_count(); ++i) {
    messages.emplace_back(google::protobuf::MessageFactory::generated_factory()
                              ->GetPrototype(file->message_type(i))
                              ->New());
  }
  return messages;
}

// The bytes of a message in JSON, which must be one of a type.
std::string WireOf(const Message& type, absl::string_view json) {
  std::string wire;
  const absl::Status status = ParseJson(*type.GetDescriptor(), json, &wire);
  EXPECT_TRUE(status.ok()) << status << " " << json;
  return wire;
}

std::string Deterministic(const Message& type, const std::string& wire) {
  const std::unique_ptr<Message> message(type.New());
  EXPECT_TRUE(message->ParseFromString(wire));
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    message->SerializeToCodedStream(&coded);
  }
  return bytes;
}

// JSON without the values of its numbers, sorted.
nlohmann::json WithoutNumbers(const nlohmann::json& json) {
  if (json.is_number()) return 0;
  if (!json.is_structured()) return json;
  nlohmann::json copy = json;
  for (auto& item : copy) item = WithoutNumbers(item);
  return copy;
}

// Prints and parses the message in all four ways.
void CheckAgainstReference(const Message& message,
                           const JsonReference& reference) {
  const std::string json = ToJson(message);
  const std::string expected_json = reference.Print(message);
  ASSERT_EQ(WithoutNumbers(nlohmann::json::parse(json)),
            WithoutNumbers(nlohmann::json::parse(expected_json)));
  const std::string bytes = Deterministic(message, message.SerializeAsString());
  for (const std::string& text : {json, expected_json}) {
    ASSERT_EQ(Deterministic(message, WireOf(message, text)), bytes) << text;
    std::string wire;
    ASSERT_TRUE(reference.Parse(*message.GetDescriptor(), text, &wire)) << text;
    ASSERT_EQ(Deterministic(message, wire), bytes) << text;
  }
}

TEST(JsonPrinterTest, MessagesOfTheApiAreThoseOfTheReference) {
  const JsonReference reference;
  std::mt19937 random(1);
  for (const auto& message : ApiMessages()) {
    CheckAgainstReference(*message, reference);
    for (int i = 0; i < 20; ++i) {
      message->Clear();
      FillRandomly(random, message.get());
      CheckAgainstReference(*message, reference);
    }
  }
}

TEST(JsonPrinterTest, FieldsOfAllTypesAreThoseOfTheReference) {
  JsonTypes types;
  const JsonReference reference(types.pool());
  std::mt19937 random(2);
  for (int i = 0; i < 150; ++i) {
    const auto message = types.NewMessage();
    FillRandomly(random, message.get());
    CheckAgainstReference(*message, reference);
  }
}

TEST(JsonPrinterTest, PrintsWhatHasNoPresence) {
  EXPECT_EQ(ToJson(lm::v1::RerankRequest()),
            R"({"models":[],"candidates":[],"weights":{},)"
            R"("normalization":"NORMALIZATION_UNSPECIFIED","alpha":0,"best":0,)"
            R"("reverseModels":[],"reranker":""})");
  EXPECT_EQ(ToJson(lm::v1::GenerateResponse()), "{}");
  lm::v1::ScoreRequest request;
  request.set_include_end(false);
  EXPECT_EQ(ToJson(request),
            R"({"model":"","texts":[],"perWord":false,"includeEnd":false,)"
            R"("sources":[],"alternatives":0,"ranks":false,)"
            R"("ngramLengths":false,"keepGoing":false})");
}

TEST(JsonPrinterTest, MapsAreSorted) {
  JsonTypes types;
  const auto message = types.NewMessage();
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
      R"(by_name { key: "b" value: 1 } by_name { key: "a" value: 2 }
         by_signed { key: 10 value: 1 } by_signed { key: -2 value: 2 }
         by_bool { key: true value: BLUE } by_bool { key: false value: 9 }
         by_big { key: 9 value: "" } by_big { key: 10 value: "<" })",
      message.get()));
  EXPECT_THAT(ToJson(*message),
              HasSubstr(R"("byName":{"a":"2","b":"1"},"byNumber":{},)"
                        R"("byBool":{"false":9,"true":"BLUE"},)"
                        R"("byBig":{"9":"","10":"<"},)"
                        R"("bySigned":{"-2":2,"10":1})"));
}

TEST(JsonPrinterTest, EscapesOnlyWhatJsonRequires) {
  std::string json = "x";
  AppendJsonString(absl::string_view("a<b>\"\\/\b\f\n\r\t\x01\x1f\x7fé\0", 18),
                   &json);
  EXPECT_EQ(json,
            "x\"a<b>\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f"
            "é\\u0000\"");
}

template <typename Float, typename Bits>
Float FromBits(Bits bits) {
  Float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

// Also a reader that takes all numbers for doubles, such as JavaScript, must
// get the bits of a float when it rounds.
TEST(JsonPrinterTest, NumbersKeepTheirBits) {
  std::mt19937_64 random(1);
  lm::v1::NextWords words;
  lm::v1::RerankResponse reranked;
  for (int i = 0; i < 50'000; ++i) {
    const auto single = FromBits<float>(static_cast<uint32_t>(random()));
    const auto value = FromBits<double>(random());
    if (!std::isnan(single)) words.add_log_probs(single);
    if (!std::isnan(value)) reranked.add_weights(value);
  }
  for (const float value :
       {0.0F, -0.0F, std::numeric_limits<float>::denorm_min(),
        std::numeric_limits<float>::max(), std::numeric_limits<float>::min(),
        16777217.0F, 1e22F, 1e23F, std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    words.add_log_probs(value);
    reranked.add_weights(value);
  }
  for (const Message* message : {static_cast<const Message*>(&words),
                                 static_cast<const Message*>(&reranked)}) {
    EXPECT_EQ(Deterministic(*message, WireOf(*message, ToJson(*message))),
              message->SerializeAsString());
  }
  const auto json = nlohmann::json::parse(ToJson(words));
  for (int i = 0; i < words.log_probs_size(); ++i) {
    const auto& value = json["logProbs"][i];
    if (!value.is_number()) continue;
    ASSERT_EQ(static_cast<float>(value.get<double>()), words.log_probs(i));
  }
  EXPECT_THAT(ToJson(words), EndsWith(R"(,"Infinity","-Infinity"]})"));
}

TEST(JsonPrinterTest, DigitsAreAsFewAsPossible) {
  lm::v1::NextWords words;
  lm::v1::RerankResponse reranked;
  for (const double value :
       {0.1, -2.5, 100.0, 1e-7, 1e21, 16777216.0, 0.3, 1.0 / 3, std::nan("")}) {
    words.add_log_probs(static_cast<float>(value));
    reranked.add_weights(value);
  }
  words.add_log_probs(-0.0F);
  EXPECT_THAT(ToJson(words),
              HasSubstr(R"([0.1,-2.5,100,1e-07,1e+21,16777216,0.3,0.33333334,)"
                        R"("NaN",-0.0])"));
  EXPECT_THAT(ToJson(reranked),
              HasSubstr(R"([0.1,-2.5,100,1e-07,1e+21,16777216,0.3,)"
                        R"(0.3333333333333333,"NaN"])"));
}

// Messages and enums of which nothing but their number is in the wire format.
TEST(JsonPrinterTest, MaxBytesCountWhatTheWireFormatLacks) {
  lm::v1::ListModelsResponse models;
  lm::v1::InspectResponse inspected;
  lm::v1::ScoreResponse scores;
  for (int i = 0; i < 1000; ++i) {
    models.add_models()->mutable_reranker()->mutable_minimum_bayes_risk();
    inspected.add_layers()->add_quantities(lm::v1::QUANTITY_FORGET_GATE);
    scores.add_scores()->mutable_words()->add_alternatives();
  }
  JsonTypes types;
  const auto all = types.NewMessage();
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(
      R"(by_bool { key: true value: A_COLOR_WITH_A_LONG_NAME }
         by_bool { key: false value: A_COLOR_WITH_A_LONG_NAME }
         by_number { value {} }
         colors: A_COLOR_WITH_A_LONG_NAME colors: A_COLOR_WITH_A_LONG_NAME)",
      all.get()));
  for (const Message* message : {static_cast<const Message*>(&models),
                                 static_cast<const Message*>(&inspected),
                                 static_cast<const Message*>(&scores),
                                 static_cast<const Message*>(all.get())}) {
    const std::string json = ToJson(*message);
    EXPECT_LE(MaxJsonBytes(*message), 4 * json.size() + 1000);
  }
}

}  // namespace
}  // namespace lmserve
