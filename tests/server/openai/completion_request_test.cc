// SPDX-License-Identifier: Apache-2.0
#include "server/openai/completion_request.h"

#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/call/status.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using Ids = std::vector<uint32_t>;

CompletionRequest ParseOk(const std::string& json) {
  const auto request = ParseCompletionRequest(json);
  EXPECT_TRUE(request.ok()) << request.status();
  return request.value_or(CompletionRequest());
}

TEST(CompletionRequestTest, HasDefaultsForAbsentAndNullMembers) {
  for (const char* json :
       {R"({"model": "en"})",
        R"({"model": "en", "prompt": null, "max_tokens": null, "n": null,
            "logprobs": null, "echo": null, "stop": null, "seed": null,
            "stream": null, "stream_options": null, "temperature": null,
            "top_p": null, "suffix": null, "logit_bias": null,
            "presence_penalty": null, "best_of": null, "source": null})"}) {
    const CompletionRequest request = ParseOk(json);
    EXPECT_EQ(request.model, "en");
    ASSERT_EQ(request.prompts.size(), 1);
    EXPECT_EQ(std::get<std::string>(request.prompts[0]), "");
    EXPECT_EQ(request.max_tokens, 16);
    EXPECT_EQ(request.choices, 1);
    EXPECT_FALSE(request.logprobs.has_value());
    EXPECT_FALSE(request.echo);
    EXPECT_TRUE(request.stop.empty());
    EXPECT_FALSE(request.seed.has_value());
    EXPECT_FALSE(request.temperature.has_value());
    EXPECT_FALSE(request.stream);
    EXPECT_FALSE(request.include_usage);
  }
}

TEST(CompletionRequestTest, ReadsAllMembers) {
  const CompletionRequest request = ParseOk(
      R"({"model": "en", "prompt": "the cat", "max_tokens": 3, "n": 2,
          "logprobs": 4, "echo": true, "stop": ["a", "b c"], "seed": -1,
          "temperature": 0.5, "top_p": 0.25, "top_k": 7,
          "repetition_penalty": 1.5, "stream": true, "source": "die Katze",
          "stream_options": {"include_usage": true}, "best_of": 2,
          "user": "somebody", "unheard_of": [1]})");
  EXPECT_EQ(request.max_tokens, 3);
  EXPECT_EQ(request.choices, 2);
  EXPECT_EQ(request.logprobs, 4);
  EXPECT_TRUE(request.echo);
  EXPECT_THAT(request.stop, ElementsAre("a", "b c"));
  EXPECT_EQ(request.seed, std::numeric_limits<uint64_t>::max());
  EXPECT_EQ(request.temperature, 0.5);
  EXPECT_EQ(request.top_p, 0.25);
  EXPECT_EQ(request.top_k, 7);
  EXPECT_EQ(request.repetition_penalty, 1.5);
  EXPECT_TRUE(request.stream);
  EXPECT_TRUE(request.include_usage);
  EXPECT_EQ(request.source, "die Katze");
}

TEST(CompletionRequestTest, ReadsPromptsOfAllForms) {
  using Prompts = std::vector<CompletionPrompt>;
  const auto prompts = [](const std::string& json) {
    return ParseOk(absl::StrCat(R"({"prompt": )", json, "}")).prompts;
  };
  EXPECT_EQ(prompts(R"("a b")"), Prompts({"a b"}));
  EXPECT_EQ(prompts(R"(["a", "b c"])"), Prompts({"a", "b c"}));
  EXPECT_EQ(prompts("[3, 4]"), Prompts({Ids{3, 4}}));
  EXPECT_EQ(prompts("[[3, 4], [5], []]"), Prompts({Ids{3, 4}, Ids{5}, Ids{}}));
  EXPECT_EQ(prompts("[]"), Prompts({Ids{}}));
}

TEST(CompletionRequestTest, NamesTheMemberThatIsWrong) {
  for (const auto& [member, value] :
       std::vector<std::pair<std::string, std::string>>{
           {"model", "1"},
           {"prompt", "1"},
           {"prompt", "{}"},
           {"prompt", "[[1.5]]"},
           {"prompt", "[-1]"},
           {"prompt", "[4294967296]"},
           {"prompt", R"(["a", 1])"},
           {"prompt", "[[[1]]]"},
           {"max_tokens", "-1"},
           {"max_tokens", "1.5"},
           {"max_tokens", R"("3")"},
           {"n", "0"},
           {"logprobs", "true"},
           {"logprobs", "-1"},
           {"echo", "1"},
           {"stop", "1"},
           {"stop", R"("")"},
           {"stop", R"(["a", 2])"},
           {"seed", "0.5"},
           {"seed", "18446744073709551616"},
           {"temperature", R"("hot")"},
           {"top_p", "[]"},
           {"stream", R"("yes")"},
           {"stream_options", "true"},
           {"suffix", R"("end")"},
           {"presence_penalty", "0.5"},
           {"frequency_penalty", "-2"},
           {"logit_bias", R"({"50256": -100})"},
           {"best_of", "3"}}) {
    const absl::Status status =
        ParseCompletionRequest(absl::StrCat("{\"", member, "\": ", value, "}"))
            .status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(FieldOf(status), member) << value << ": " << status;
  }
}

TEST(CompletionRequestTest, RefusesWhatIsNoObject) {
  for (const std::string& json :
       {std::string(), std::string("{"), std::string("[]"), std::string("null"),
        std::string("\"a\""), std::string("{\"prompt\": \"\xff\"}"),
        std::string("{\"a\":") + std::string(1000, '[')}) {
    EXPECT_EQ(ParseCompletionRequest(json).status().code(),
              absl::StatusCode::kInvalidArgument)
        << json;
  }
  EXPECT_THAT(ParseCompletionRequest(std::string(40, '[')).status().message(),
              HasSubstr("nested too deeply"));
}

}  // namespace
}  // namespace lmserve
