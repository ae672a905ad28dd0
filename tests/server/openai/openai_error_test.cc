// SPDX-License-Identifier: Apache-2.0
#include "server/openai/openai_error.h"

#include <nlohmann/json.hpp>
#include <string>

#include "absl/time/time.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/call/status.h"

namespace lmserve {
namespace {

using nlohmann::json;

json Error(const absl::Status& status) {
  const json parsed = json::parse(OpenAiErrorJson(status));
  EXPECT_EQ(parsed.size(), 1);
  EXPECT_EQ(parsed["error"].size(), 4) << "all members are required";
  return parsed["error"];
}

TEST(OpenAiErrorTest, NamesTheMemberOfTheRequest) {
  const json prompt = Error(InvalidField("texts[2]", "expected a word"));
  EXPECT_EQ(prompt["param"], "prompt");
  EXPECT_EQ(prompt["message"], "prompt[2]: expected a word");
  EXPECT_EQ(prompt["type"], "invalid_request_error");
  EXPECT_TRUE(prompt["code"].is_null());
  EXPECT_EQ(Error(CheckLimit("max_words", 2, 1))["param"], "max_tokens");
  EXPECT_EQ(Error(CheckLimit("max_words", 2, 1))["message"],
            "max_tokens: expected at most 1, found 2");
  EXPECT_EQ(Error(InvalidField("top_p", "expected less"))["param"], "top_p");
  EXPECT_EQ(Error(CheckLimit("n times prompts", 2, 1))["param"], "n");
}

TEST(OpenAiErrorTest, HasTheCodesThatClientsKnow) {
  const json missing = Error(absl::NotFoundError("model 'x' is not served"));
  EXPECT_EQ(missing["code"], "model_not_found");
  EXPECT_EQ(missing["param"], "model");
  EXPECT_EQ(Error(absl::UnauthenticatedError("no token"))["code"],
            "invalid_api_key");
  const json busy = Error(ResourceExhausted("busy", absl::Seconds(1)));
  EXPECT_EQ(busy["code"], "rate_limit_exceeded");
  EXPECT_EQ(busy["type"], "rate_limit_error");
  const json internal = Error(absl::InternalError("broken"));
  EXPECT_EQ(internal["type"], "server_error");
  EXPECT_TRUE(internal["param"].is_null());
}

TEST(OpenAiErrorTest, IsOneLineOfValidJsonWhateverTheMessage) {
  const std::string text =
      OpenAiErrorJson(absl::InvalidArgumentError("a\n\xff\"b"));
  EXPECT_EQ(text.find('\n'), text.npos);
  EXPECT_EQ(json::parse(text)["error"]["message"], "a\\x0a\\xff\"b");
  EXPECT_EQ(json::parse(OpenAiErrorJson(415, "no"))["error"]["type"],
            "invalid_request_error");
}

}  // namespace
}  // namespace lmserve
