// SPDX-License-Identifier: Apache-2.0
#include "server/openai/embedding_json.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/small_store.h"

namespace lmserve {
namespace {

using nlohmann::json;

lm::v1::EmbedResponse Response() {
  return Parse<lm::v1::EmbedResponse>(
      "model { name: 'en' version: 3 } "
      "embeddings { values: [1, -0.1, 0, 1e-45] word_count: 4 } "
      "embeddings { values: [3.4028235e38, 0.25, -1, 2] word_count: 1 }");
}

TEST(EmbeddingJsonTest, NumbersAreTheFloats) {
  const lm::v1::EmbedResponse response = Response();
  const json answer = json::parse(EmbeddingsJson(response, false));
  EXPECT_EQ(answer["object"], "list");
  EXPECT_EQ(answer["model"], "en@3");
  EXPECT_EQ(answer["usage"], json({{"prompt_tokens", 5}, {"total_tokens", 5}}));
  ASSERT_EQ(answer["data"].size(), 2u);
  for (int i = 0; i < 2; ++i) {
    const json& item = answer["data"][i];
    EXPECT_EQ(item["object"], "embedding");
    EXPECT_EQ(item["index"], i);
    const auto& values = response.embeddings(i).values();
    EXPECT_EQ(item["embedding"].get<std::vector<float>>(),
              std::vector<float>(values.begin(), values.end()));
  }
}

// The bytes of 1 and -0.1 are 00 00 80 3f and cd cc cc bd.
TEST(EmbeddingJsonTest, Base64HasTheBytesOfTheFloats) {
  const json answer = json::parse(EmbeddingsJson(Response(), true));
  EXPECT_EQ(answer["data"][0]["embedding"], "AACAP83MzL0AAAAAAQAAAA==");
}

TEST(EmbeddingJsonTest, TheBoundHolds) {
  lm::v1::EmbedResponse response;
  for (bool as_base64 : {false, true}) {
    EXPECT_LE(EmbeddingsJson(response, as_base64).size(),
              MaxEmbeddingsBytes(response));
  }
  response.mutable_model()->set_name(std::string(100, 'x'));
  response.mutable_model()->set_version(std::numeric_limits<uint64_t>::max());
  for (int i = 0; i < 5; ++i) {
    lm::v1::Embedding& embedding = *response.add_embeddings();
    embedding.set_word_count(std::numeric_limits<uint32_t>::max());
    for (int k = 0; k < 50; ++k) embedding.add_values(-1.17549435e-38f);
    embedding.add_values(-std::numeric_limits<float>::infinity());
    for (bool as_base64 : {false, true}) {
      EXPECT_LE(EmbeddingsJson(response, as_base64).size(),
                MaxEmbeddingsBytes(response));
    }
  }
}

}  // namespace
}  // namespace lmserve
