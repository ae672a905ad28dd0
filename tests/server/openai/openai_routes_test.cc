// SPDX-License-Identifier: Apache-2.0
//
// Tests OpenAI's API without sockets. The numbers are compared with those of
// our own API.

#include "server/openai/openai_routes.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/http/http_api.h"
#include "tests/server/http/routes_fixture.h"

namespace lmserve {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

// Ids of the vocabulary of "tiny".
enum Word : uint32_t { kUnk, kBegin, kEnd, kThe, kA, kCat, kDog };

class OpenAiRoutesTest : public RoutesFixture {
 protected:
  explicit OpenAiRoutesTest(bool has_tokens = false)
      : RoutesFixture(has_tokens) {
    AddLanguageModelRoutes(*serving_, *context_, &router_);
    AddOpenAiRoutes(*serving_, *context_, &router_);
  }

  json PostOk(const std::string& path, const json& request) {
    const auto answer = Post(path, {request.dump()});
    EXPECT_EQ(answer.code(), 200) << answer.written;
    return json::parse(answer.body(), nullptr, false);
  }

  json Complete(const json& request) {
    return PostOk("/v1/completions", request);
  }

  // The first choice of an answer.
  json Choice(const json& request) { return Complete(request)["choices"][0]; }

  json Error(const std::string& path, const json& request, int code) {
    const auto answer = Post(path, {request.dump()});
    EXPECT_EQ(answer.code(), code) << answer.written;
    return json::parse(answer.body(), nullptr, false)["error"];
  }

  // The events of a stream, without [DONE], which must be the last one.
  std::vector<json> Stream(const json& request) {
    const auto answer = Post("/v1/completions", {request.dump()});
    EXPECT_EQ(answer.code(), 200) << answer.written;
    EXPECT_THAT(answer.head(), HasSubstr("Content-Type: text/event-stream"));
    std::vector<std::string> events = absl::StrSplit(answer.body(), "\n\n");
    EXPECT_EQ(events.back(), "");
    events.pop_back();
    EXPECT_EQ(events.back(), "data: [DONE]");
    events.pop_back();
    std::vector<json> chunks;
    for (const std::string& event : events) {
      EXPECT_EQ(event.substr(0, 6), "data: ");
      chunks.push_back(json::parse(event.substr(6)));
    }
    return chunks;
  }

  // ln P of the words of a text, by Score.
  std::vector<float> Scores(const std::string& text) {
    const json answer =
        PostOk("/lm/v1/models/tiny:score", {{"texts", {{{"text", text}}}},
                                            {"perWord", true},
                                            {"includeEnd", false}});
    return answer["scores"][0]["words"]["logProbs"].get<std::vector<float>>();
  }
};

TEST_F(OpenAiRoutesTest, CompletesAText) {
  const json answer = Complete({{"model", "tiny"},
                                {"prompt", "the cat"},
                                {"temperature", 0},
                                {"max_tokens", 2}});
  EXPECT_EQ(answer["object"], "text_completion");
  EXPECT_EQ(answer["model"], "tiny@2");
  EXPECT_EQ(answer["id"].get<std::string>().substr(0, 5), "cmpl-");
  EXPECT_GT(answer["created"], 1'700'000'000);
  ASSERT_EQ(answer["choices"].size(), 1);
  const json& choice = answer["choices"][0];
  EXPECT_EQ(choice["text"], " is small");
  EXPECT_EQ(choice["index"], 0);
  EXPECT_EQ(choice["finish_reason"], "length");
  EXPECT_TRUE(choice["logprobs"].is_null());
  EXPECT_EQ(answer["usage"], json({{"prompt_tokens", 2},
                                   {"completion_tokens", 2},
                                   {"total_tokens", 4}}));
}

TEST_F(OpenAiRoutesTest, EndsWithTheSentence) {
  const json answer = Complete({{"model", "tiny"},
                                {"prompt", "the cat"},
                                {"temperature", 0},
                                {"logprobs", 0}});
  const json& choice = answer["choices"][0];
  EXPECT_EQ(choice["text"], " is small");
  EXPECT_EQ(choice["finish_reason"], "stop");
  const json& logprobs = choice["logprobs"];
  EXPECT_EQ(logprobs["tokens"], json({" is", " small", "</s>"}));
  EXPECT_EQ(logprobs["text_offset"], json({7, 10, 16}));
  EXPECT_TRUE(logprobs["top_logprobs"].is_null());
  EXPECT_EQ(logprobs["token_logprobs"].size(), 3);
  EXPECT_EQ(answer["usage"]["completion_tokens"], 3) << "with </s>";
}

TEST_F(OpenAiRoutesTest, EchoesThePromptWithTheNumbersOfScore) {
  const std::string prompt = "  the cat\tpurrs is ";
  const json choice = Choice({{"model", "tiny"},
                              {"prompt", prompt},
                              {"echo", true},
                              {"max_tokens", 0},
                              {"logprobs", 2}});
  EXPECT_EQ(choice["text"], prompt);
  EXPECT_EQ(choice["finish_reason"], "length");
  const json& logprobs = choice["logprobs"];
  EXPECT_EQ(logprobs["tokens"], json({"  the", " cat", "\tpurrs", " is "}));
  EXPECT_EQ(logprobs["token_logprobs"].get<std::vector<float>>(),
            Scores(prompt));
  EXPECT_EQ(logprobs["text_offset"], json({0, 5, 9, 15}));
  const json& top = logprobs["top_logprobs"];
  ASSERT_EQ(top.size(), 4);
  EXPECT_EQ(top[1].size(), 2);
  EXPECT_EQ(top[1][" cat"], logprobs["token_logprobs"][1]);
  EXPECT_EQ(top[2]["\tpurrs"], logprobs["token_logprobs"][2])
      << "an unknown word has its own text";
}

TEST_F(OpenAiRoutesTest, AWordBeyondTheBestIsAddedToThem) {
  const json logprobs = Choice({{"model", "tiny"},
                                {"prompt", "barks"},
                                {"echo", true},
                                {"max_tokens", 0},
                                {"logprobs", 1}})["logprobs"];
  EXPECT_EQ(logprobs["top_logprobs"][0].size(), 2);
  EXPECT_EQ(logprobs["top_logprobs"][0]["barks"],
            logprobs["token_logprobs"][0]);
  EXPECT_TRUE(logprobs["top_logprobs"][0].contains("the"));
}

// What lm-evaluation-harness relies on.
TEST_F(OpenAiRoutesTest, AnEchoWithOneTokenHasOneEntryMoreThanThePrompt) {
  for (const std::vector<uint32_t>& prompt : {std::vector<uint32_t>{kThe, kCat},
                                              {kBegin, kThe},
                                              {kEnd},
                                              {kBegin},
                                              {kThe, kCat, 7, 8},
                                              {kDog, kUnk}}) {
    const json answer = Complete({{"model", "tiny"},
                                  {"prompt", {prompt}},
                                  {"temperature", 0},
                                  {"max_tokens", 1},
                                  {"logprobs", 1},
                                  {"seed", 1234},
                                  {"echo", true}});
    const json& logprobs = answer["choices"][0]["logprobs"];
    ASSERT_EQ(logprobs["tokens"].size(), prompt.size() + 1) << logprobs;
    ASSERT_EQ(logprobs["token_logprobs"].size(), prompt.size() + 1);
    for (size_t i = 0; i <= prompt.size(); ++i) {
      const json& value = logprobs["token_logprobs"][i];
      const json& top = logprobs["top_logprobs"][i];
      if (i == 0 && prompt[0] <= kEnd && prompt[0] != kUnk) {
        EXPECT_TRUE(value.is_null() && top.is_null());
        continue;
      }
      ASSERT_TRUE(value.is_number());
      const std::string token = logprobs["tokens"][i];
      ASSERT_EQ(top[token], value);
      const float best = *std::max_element(top.begin(), top.end());
      EXPECT_LE(value.get<float>(), best);
    }
    // The word that is drawn at temperature 0 is the best one.
    EXPECT_EQ(logprobs["top_logprobs"][prompt.size()].size(), 1);
  }
}

TEST_F(OpenAiRoutesTest, AMarkChangesNothingButTheTokens) {
  const auto scores = [&](const std::vector<uint32_t>& prompt) {
    return Choice({{"model", "tiny"},
                   {"prompt", prompt},
                   {"max_tokens", 0},
                   {"logprobs", 0},
                   {"echo", true}})["logprobs"]["token_logprobs"];
  };
  json plain = scores({kThe, kCat});
  plain.insert(plain.begin(), nullptr);
  EXPECT_EQ(scores({kBegin, kThe, kCat}), plain);
  EXPECT_EQ(scores({kEnd, kThe, kCat}), plain);
  const json error = Error("/v1/completions",
                           {{"model", "tiny"},
                            {"prompt", {kThe, kEnd}},
                            {"echo", true},
                            {"logprobs", 1}},
                           400);
  EXPECT_EQ(error["param"], "prompt");
}

TEST_F(OpenAiRoutesTest, WhiteSpaceAtTheEndIsNotRepeated) {
  const json request = {{"model", "tiny"},
                        {"prompt", "the cat "},
                        {"temperature", 0},
                        {"max_tokens", 1},
                        {"logprobs", 0}};
  const json plain = Choice(request);
  EXPECT_EQ(plain["text"], "is");
  EXPECT_EQ(plain["logprobs"]["tokens"], json({"is"}));
  EXPECT_EQ(plain["logprobs"]["text_offset"], json({8}));
  json with_echo = request;
  with_echo["echo"] = true;
  const json echoed = Choice(with_echo);
  EXPECT_EQ(echoed["text"], "the cat is");
  EXPECT_EQ(echoed["logprobs"]["tokens"], json({"the", " cat", " is"}));
  EXPECT_EQ(echoed["logprobs"]["text_offset"], json({0, 3, 7}));
  // The sentence ends, so no word takes the space.
  const json ended = Choice({{"model", "tiny"},
                             {"prompt", "the cat is small "},
                             {"temperature", 0},
                             {"echo", true}});
  EXPECT_EQ(ended["text"], "the cat is small ");
  EXPECT_EQ(
      Choice({{"model", "tiny"}, {"temperature", 0}, {"max_tokens", 1}})["text"]
          .get<std::string>()[0],
      't')
      << "a text does not begin with a space";
}

TEST_F(OpenAiRoutesTest, ChoicesComePromptByPrompt) {
  const json request = {{"model", "tiny"}, {"prompt", {"the", "a dog"}},
                        {"n", 2},          {"seed", 5},
                        {"echo", true},    {"max_tokens", 4}};
  const json answer = Complete(request);
  ASSERT_EQ(answer["choices"].size(), 4);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(answer["choices"][i]["index"], i);
    EXPECT_EQ(answer["choices"][i]["text"].get<std::string>().rfind(
                  i < 2 ? "the" : "a dog", 0),
              0);
  }
  EXPECT_EQ(answer["usage"]["prompt_tokens"], 3);
  const json again = Complete(request);
  EXPECT_EQ(again["choices"], answer["choices"]) << "by the seed";
  // Choice j is drawn with the seed s + j.
  json second = request;
  second["n"] = 1;
  second["seed"] = 6;
  EXPECT_EQ(Complete(second)["choices"][0]["text"],
            answer["choices"][1]["text"]);
}

TEST_F(OpenAiRoutesTest, DrawsTheWordsOfGenerate) {
  const auto answer =
      Post("/lm/v1/models/tiny:generate",
           {R"({"prompt":{"text":"the"},"seed":9,"maxWords":8})"});
  std::string words;
  for (const json& message : json::parse(answer.body())) {
    if (message.contains("word")) {
      absl::StrAppend(&words, " ", message["word"]["word"].get<std::string>());
    }
  }
  EXPECT_EQ(Choice({{"model", "tiny"},
                    {"prompt", "the"},
                    {"seed", 9},
                    {"max_tokens", 8}})["text"],
            words);
}

TEST_F(OpenAiRoutesTest, StopsBeforeAStopString) {
  const json choice = Choice({{"model", "tiny"},
                              {"prompt", "the cat"},
                              {"temperature", 0},
                              {"stop", {"xyz", "s sm"}},
                              {"logprobs", 0}});
  EXPECT_EQ(choice["text"], " i");
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_EQ(choice["logprobs"]["tokens"], json({" is"}));
  // It does not count in the prompt.
  EXPECT_EQ(Choice({{"model", "tiny"},
                    {"prompt", "the cat"},
                    {"temperature", 0},
                    {"echo", true},
                    {"stop", "cat"}})["text"],
            "the cat is small");
}

TEST_F(OpenAiRoutesTest, AStreamIsTheAnswerInPieces) {
  for (const char* prompt : {"the", "the ", "", "  "}) {
    for (const bool echo : {false, true}) {
      const json request = {{"model", "tiny"}, {"prompt", {prompt, "a"}},
                            {"n", 2},          {"seed", 3},
                            {"max_tokens", 5}, {"logprobs", 2},
                            {"echo", echo},    {"stop", "dog barks"}};
      const json whole = Complete(request);
      json streamed = request;
      streamed["stream"] = true;
      std::vector<json> texts(4, "");
      std::vector<json> tokens(4, json::array());
      std::vector<json> reasons(4);
      for (const json& chunk : Stream(streamed)) {
        EXPECT_EQ(chunk["object"], "text_completion");
        EXPECT_FALSE(chunk.contains("usage"));
        ASSERT_EQ(chunk["choices"].size(), 1);
        const json& choice = chunk["choices"][0];
        const int i = choice["index"];
        EXPECT_TRUE(reasons[i].is_null()) << "nothing follows the last one";
        texts[i] =
            texts[i].get<std::string>() + choice["text"].get<std::string>();
        for (const json& token : choice["logprobs"]["tokens"]) {
          tokens[i].push_back(token);
        }
        reasons[i] = choice["finish_reason"];
      }
      for (int i = 0; i < 4; ++i) {
        const json& choice = whole["choices"][i];
        EXPECT_EQ(texts[i], choice["text"]);
        EXPECT_EQ(tokens[i], choice["logprobs"]["tokens"]);
        EXPECT_EQ(reasons[i], choice["finish_reason"]);
      }
    }
  }
}

TEST_F(OpenAiRoutesTest, AStreamTellsTheUsageAtTheEnd) {
  const std::vector<json> chunks =
      Stream({{"model", "tiny"},
              {"prompt", "the cat"},
              {"max_tokens", 1},
              {"stream", true},
              {"stream_options", {{"include_usage", true}}}});
  ASSERT_GE(chunks.size(), 2);
  EXPECT_TRUE(chunks[0]["usage"].is_null());
  EXPECT_THAT(chunks.back()["choices"], IsEmpty());
  EXPECT_EQ(chunks.back()["usage"]["total_tokens"], 3);
}

TEST_F(OpenAiRoutesTest, NothingToDoIsAnAnswer) {
  const json choice = Choice({{"model", "tiny"}, {"max_tokens", 0}});
  EXPECT_EQ(choice["text"], "");
  EXPECT_EQ(choice["finish_reason"], "length");
}

TEST_F(OpenAiRoutesTest, MinusInfinityIsANumber) {
  const json logprobs = Choice({{"model", "flat"},
                                {"prompt", "never"},
                                {"echo", true},
                                {"max_tokens", 0},
                                {"logprobs", 1}})["logprobs"];
  EXPECT_EQ(logprobs["token_logprobs"], json({-9999.0}));
}

TEST_F(OpenAiRoutesTest, ThePathMayNameTheModel) {
  const json answer =
      PostOk("/models/tiny@1/v1/completions", {{"max_tokens", 1}});
  EXPECT_EQ(answer["model"], "tiny@1");
  PostOk("/models/tiny/v1/completions", {{"model", "tiny"}});
  const json error =
      Error("/models/tiny/v1/completions", {{"model", "flat"}}, 400);
  EXPECT_EQ(error["param"], "model");
}

TEST_F(OpenAiRoutesTest, ErrorsHaveTheFormOfTheDialect) {
  EXPECT_EQ(Error("/v1/completions", {{"model", "none"}}, 404)["code"],
            "model_not_found");
  EXPECT_EQ(Error("/v1/completions", json::object(), 400)["param"], "model");
  EXPECT_EQ(
      Error("/v1/completions", {{"model", "tiny"}, {"max_tokens", 100'000'000}},
            413)["param"],
      "max_tokens");
  EXPECT_EQ(
      Error("/v1/completions", {{"model", "tiny"}, {"top_p", 2}}, 400)["param"],
      "top_p");
  EXPECT_EQ(
      Error("/v1/completions",
            {{"model", "tiny"}, {"stream", true}, {"top_p", 2}}, 400)["param"],
      "top_p")
      << "before the first event";
  EXPECT_THAT(Error("/v1/chat/completions", json::object(), 404)["message"],
              HasSubstr("no chat"));
  const auto wrong_type = Ask({.method = "POST",
                               .path = "/v1/completions",
                               .query = "",
                               .fields = {{"content-type", "text/plain"}}},
                              {"{}"});
  EXPECT_EQ(wrong_type.code(), 415);
  EXPECT_EQ(json::parse(wrong_type.body())["error"]["type"],
            "invalid_request_error");
  EXPECT_EQ(json::parse(Get("/v1/completions").body())["error"]["type"],
            "invalid_request_error");
}

TEST_F(OpenAiRoutesTest, AModelWithoutVectorsEmbedsNothing) {
  const json error =
      Error("/v1/embeddings", {{"model", "tiny"}, {"input", "the"}}, 400);
  EXPECT_THAT(error["message"].get<std::string>(),
              HasSubstr("'tiny' has the family ngram: it cannot embed texts"));
  EXPECT_EQ(error["type"], "invalid_request_error");
  EXPECT_EQ(Error("/v1/embeddings", {{"input", "the"}}, 400)["param"], "model");
  EXPECT_EQ(Error("/models/tiny/v1/embeddings", json::object(), 400)["param"],
            "input");
}

TEST_F(OpenAiRoutesTest, ListsModels) {
  const json list = json::parse(Get("/v1/models").body());
  EXPECT_EQ(list["object"], "list");
  std::vector<std::string> ids;
  for (const json& model : list["data"]) ids.push_back(model["id"]);
  EXPECT_THAT(ids, ElementsAre("endless", "endless@1", "flat", "flat@1", "mute",
                               "mute@1", "tiny@1", "tiny", "tiny@2"));
  const json model = json::parse(Get("/v1/models/tiny").body());
  EXPECT_EQ(model["id"], "tiny");
  EXPECT_EQ(model["object"], "model");
  EXPECT_EQ(model["owned_by"], "lmserve");
  EXPECT_EQ(model["version"], 2);
  EXPECT_GT(model["created"], 1'700'000'000);
  EXPECT_EQ(json::parse(Get("/v1/models/tiny%401").body())["version"], 1);
  EXPECT_EQ(Get("/v1/models/none").code(), 404);
  EXPECT_EQ(json::parse(Get("/models/flat/v1/models").body())["data"].size(),
            2);
}

TEST_F(OpenAiRoutesTest, SplitsTextsIntoWords) {
  const auto tokens = [&](const std::string& text) {
    return PostOk("/models/tiny/tokenize",
                  {{"prompt", text}, {"add_special_tokens", false}})["tokens"];
  };
  EXPECT_EQ(tokens("the cat purrs"), json({kThe, kCat, kUnk}));
  EXPECT_EQ(tokens("<s>"), json({kBegin}));
  EXPECT_EQ(tokens("</s>"), json({kEnd}));
  EXPECT_EQ(tokens("the <s>"), json({kThe, kUnk}));
  EXPECT_EQ(tokens(""), json::array());
  const json all = PostOk("/tokenize", {{"model", "tiny"},
                                        {"prompt", "the x"},
                                        {"add_special_tokens", true},
                                        {"return_token_strs", true}});
  EXPECT_EQ(all["tokens"], json({kBegin, kThe, kUnk}));
  EXPECT_EQ(all["token_strs"], json({"<s>", "the", "<unk>"}));
  EXPECT_EQ(all["count"], 3);
  EXPECT_EQ(all["max_model_len"], limits_.words_per_text);
  EXPECT_EQ(Error("/tokenize", {{"prompt", "the"}}, 400)["param"], "model")
      << "several models are served";
  EXPECT_EQ(Error("/models/tiny/tokenize", json::object(), 400)["param"],
            "prompt");
}

TEST_F(OpenAiRoutesTest, PutsWordsTogether) {
  EXPECT_EQ(PostOk("/models/tiny/detokenize",
                   {{"tokens", {kBegin, kThe, kCat}}})["prompt"],
            "<s> the cat");
  EXPECT_EQ(
      Error("/models/tiny/detokenize", {{"tokens", {1000}}}, 400)["param"],
      "tokens");
  EXPECT_EQ(Error("/models/tiny/detokenize", json::object(), 400)["param"],
            "tokens");
}

TEST_F(OpenAiRoutesTest, DescribesTheTokenizer) {
  const json info = json::parse(Get("/models/tiny/tokenizer_info").body());
  EXPECT_EQ(info["bos_token"], "<s>");
  EXPECT_EQ(info["eos_token"], "</s>");
  EXPECT_EQ(info["unk_token"], "<unk>");
  EXPECT_EQ(Get("/tokenizer_info", {}, "model=tiny").code(), 200);
  EXPECT_EQ(Get("/tokenizer_info").code(), 400);
}

class OpenAiTokensTest : public OpenAiRoutesTest {
 protected:
  OpenAiTokensTest() : OpenAiRoutesTest(/*has_tokens=*/true) {}
};

TEST_F(OpenAiTokensTest, ATokenIsTheKeyOfTheApi) {
  const std::string body = R"({"model":"tiny"})";
  const auto refused = Post("/v1/completions", {body});
  EXPECT_EQ(refused.code(), 401);
  EXPECT_EQ(json::parse(refused.body())["error"]["code"], "invalid_api_key");
  EXPECT_THAT(refused.head(), HasSubstr("WWW-Authenticate: Bearer"));
  EXPECT_EQ(Post("/v1/completions", {body},
                 {{"authorization", "Bearer 0123456789abcdef"}})
                .code(),
            200);
  EXPECT_EQ(Get("/v1/models").code(), 401);
  EXPECT_EQ(Post("/models/tiny/tokenize", {R"({"prompt":""})"}).code(), 401);
}

}  // namespace
}  // namespace lmserve
