// SPDX-License-Identifier: Apache-2.0
#include "server/openai/embedding_request.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/call/status.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

EmbeddingRequest ParseOk(const std::string& json) {
  const auto request = ParseEmbeddingRequest(json);
  EXPECT_TRUE(request.ok()) << request.status();
  return request.value_or(EmbeddingRequest());
}

TEST(EmbeddingRequestTest, HasDefaultsForAbsentAndNullMembers) {
  for (const char* json :
       {R"({"input": "the cat"})",
        R"({"input": "the cat", "model": null, "encoding_format": null,
            "dimensions": null, "pooling": null, "normalize": null})"}) {
    const EmbeddingRequest request = ParseOk(json);
    EXPECT_EQ(request.embed.model(), "");
    ASSERT_EQ(request.embed.texts_size(), 1);
    EXPECT_EQ(request.embed.texts(0).text(), "the cat");
    EXPECT_EQ(request.embed.pooling(), lm::v1::POOLING_MEAN);
    EXPECT_TRUE(request.embed.normalize());
    EXPECT_FALSE(request.dimensions.has_value());
    EXPECT_FALSE(request.as_base64);
  }
}

TEST(EmbeddingRequestTest, ReadsAllMembers) {
  const EmbeddingRequest request = ParseOk(
      R"({"model": "en", "input": ["a", ""], "encoding_format": "base64",
          "dimensions": 7, "pooling": "last", "normalize": false,
          "user": "somebody"})");
  EXPECT_EQ(request.embed.model(), "en");
  ASSERT_EQ(request.embed.texts_size(), 2);
  EXPECT_TRUE(request.embed.texts(1).has_text());
  EXPECT_EQ(request.embed.pooling(), lm::v1::POOLING_LAST);
  EXPECT_FALSE(request.embed.normalize());
  EXPECT_EQ(request.dimensions, 7u);
  EXPECT_TRUE(request.as_base64);
  EXPECT_EQ(ParseOk(R"({"input": "a", "pooling": "max"})").embed.pooling(),
            lm::v1::POOLING_MAX);
}

TEST(EmbeddingRequestTest, ReadsIds) {
  const EmbeddingRequest one = ParseOk(R"({"input": [3, 4]})");
  ASSERT_EQ(one.embed.texts_size(), 1);
  EXPECT_THAT(one.embed.texts(0).ids().ids(), ElementsAre(3, 4));
  const EmbeddingRequest two = ParseOk(R"({"input": [[3, 4], []]})");
  ASSERT_EQ(two.embed.texts_size(), 2);
  EXPECT_TRUE(two.embed.texts(1).has_ids());
}

TEST(EmbeddingRequestTest, NamesTheMemberThatIsWrong) {
  for (const auto& [json, member] :
       {std::pair{R"({})", "input"},
        {R"({"input": null})", "input"},
        {R"({"input": []})", "input"},
        {R"({"input": 3})", "input"},
        {R"({"input": ["a", 3]})", "input"},
        {R"({"input": [3, -1]})", "input"},
        {R"({"input": "a", "model": 1})", "model"},
        {R"({"input": "a", "encoding_format": "int8"})", "encoding_format"},
        {R"({"input": "a", "dimensions": -1})", "dimensions"},
        {R"({"input": "a", "pooling": "min"})", "pooling"},
        {R"({"input": "a", "normalize": 1})", "normalize"}}) {
    const absl::Status status = ParseEmbeddingRequest(json).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << json;
    EXPECT_EQ(FieldOf(status), member) << json;
    EXPECT_THAT(std::string(status.message()), HasSubstr("expected ")) << json;
  }
  EXPECT_FALSE(ParseEmbeddingRequest("[]").ok());
}

}  // namespace
}  // namespace lmserve
