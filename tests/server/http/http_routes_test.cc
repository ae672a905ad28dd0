// SPDX-License-Identifier: Apache-2.0
//
// Tests the routes without sockets: what a request in JSON becomes, and the
// answer to it.

#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/http/http_api.h"
#include "server/http/http_messages.h"
#include "server/openai/openai_routes.h"
#include "tests/server/http/fake_http_stream.h"
#include "tests/server/http/routes_fixture.h"

namespace lmserve {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class HttpRoutesTest : public RoutesFixture {
 protected:
  explicit HttpRoutesTest(bool has_tokens = false) : RoutesFixture(has_tokens) {
    AddLanguageModelRoutes(*serving_, *context_, &router_);
    AddModelRoutes(*store_, nullptr, *context_, &router_);
    AddHealthRoutes(
        [](const std::string& name) -> std::optional<bool> {
          if (name.empty()) return false;
          if (name == "lm.v1.ModelService") return true;
          return std::nullopt;
        },
        *context_, &router_);
    AddMetricsRoute([] { return "lm_build_info 1\n"; }, /*needs_token=*/true,
                    *context_, &router_);
    AddOpenApiRoute(*context_, &router_);
  }
};

// Routes as "POST /lm/v1/score application/json", with the type of the body.
std::set<std::string> DescribedRoutes(const json& description) {
  std::set<std::string> routes;
  for (const auto& [path, item] : description["paths"].items()) {
    for (const auto& [method, operation] : item.items()) {
      std::string type;
      if (operation.contains("requestBody")) {
        const json& content = operation["requestBody"]["content"];
        EXPECT_EQ(content.size(), 1) << path;
        type = content.begin().key();
      }
      routes.insert(
          absl::StrCat(absl::AsciiStrToUpper(method), " ", path, " ", type));
    }
  }
  return routes;
}

TEST_F(HttpRoutesTest, AreThoseOfTheDescription) {
  AddOpenAiRoutes(*serving_, *context_, &router_);
  std::set<std::string> routes;
  for (const HttpRoute& route : router_.routes()) {
    // It only says that there is no chat.
    if (absl::EndsWith(route.path, "/v1/chat/completions")) continue;
    routes.insert(
        absl::StrCat(route.method, " ", route.path, " ", route.body_type));
  }
  const auto answer = Get("/lm/v1/openapi.json");
  ASSERT_EQ(answer.code(), 200);
  EXPECT_THAT(answer.head(), HasSubstr("Content-Type: application/json\r\n"));
  EXPECT_THAT(answer.head(), HasSubstr("x-request-id: "));
  EXPECT_EQ(DescribedRoutes(json::parse(answer.body())), routes)
      << "see scripts/generate-openapi";
}

TEST_F(HttpRoutesTest, ScoresByTheModelOfTheBodyOrThePath) {
  const auto by_body = Post(
      "/lm/v1/score", {R"({"model":"tiny","texts":[{"text":"the cat"}]})"});
  ASSERT_EQ(by_body.code(), 200) << by_body.written;
  EXPECT_TRUE(by_body.may_keep);
  const json answer = json::parse(by_body.body());
  EXPECT_EQ(answer["model"]["version"], "2");
  EXPECT_LT(answer["scores"][0]["logProb"], 0);
  EXPECT_EQ(answer["scores"][0]["wordCount"], 3);
  const auto by_path = Post("/lm/v1/models/tiny@2:score",
                            {R"({"texts":[{"te)", R"(xt":"the cat"}]})"});
  EXPECT_EQ(by_path.body(), by_body.body()) << "in several pieces";
  EXPECT_EQ(Post("/lm/v1/models/tiny:score",
                 {R"({"model":"flat","texts":[{"text":"the"}]})"})
                .code(),
            400);
}

TEST_F(HttpRoutesTest, ErrorsAreThoseOfTheHandlers) {
  const auto missing =
      Post("/lm/v1/score", {R"({"model":"none","texts":[{"text":"a"}]})"});
  EXPECT_EQ(missing.code(), 404);
  EXPECT_EQ(json::parse(missing.body())["error"]["status"], "NOT_FOUND");
  const auto no_text = Post("/lm/v1/score", {R"({"model":"tiny"})"});
  EXPECT_EQ(no_text.code(), 400);
  EXPECT_EQ(
      json::parse(
          no_text.body())["error"]["details"][0]["fieldViolations"][0]["field"],
      "texts");
  EXPECT_TRUE(no_text.may_keep) << "the body was read";
  EXPECT_EQ(Post("/lm/v1/score", {"{"}).code(), 400);
  EXPECT_EQ(Post("/lm/v1/score", {""}).code(), 400);
  EXPECT_EQ(Post("/lm/v1/models/tiny:load", {"{}"}).code(), 501);
}

TEST_F(HttpRoutesTest, ARequestThatIsTooLongIsRefusedBeforeItIsRead) {
  const auto outcome = Post("/lm/v1/score", {std::string(5000, ' ')});
  EXPECT_EQ(outcome.code(), 413);
  EXPECT_THAT(outcome.head(), HasSubstr("Connection: close"));
  EXPECT_THAT(outcome.body(),
              HasSubstr("request bytes: expected at most 4096, found 5000"));
}

TEST_F(HttpRoutesTest, RefusesNewCallsDuringTheShutdown) {
  limiter_.CloseAndWait(std::chrono::milliseconds(0));
  const auto outcome =
      Post("/lm/v1/score", {R"({"model":"tiny","texts":[{"text":"a"}]})"});
  EXPECT_EQ(outcome.code(), 503);
  EXPECT_THAT(outcome.head(), HasSubstr("Retry-After: 1"));
}

TEST_F(HttpRoutesTest, GeneratesInThreeForms) {
  const std::string body = R"({"model":"tiny","seed":"3","maxWords":4})";
  const auto ask = [&](const std::string& accept) {
    return Post("/lm/v1/generate", {body}, {{"accept", accept}});
  };
  const auto array = ask("*/*");
  ASSERT_EQ(array.code(), 200) << array.written;
  const json messages = json::parse(array.body());
  ASSERT_GE(messages.size(), 2u);
  EXPECT_EQ(messages[0]["model"]["name"], "tiny");
  EXPECT_EQ(messages.back()["end"]["seed"], "3");

  const auto lines = ask("application/x-ndjson");
  EXPECT_THAT(lines.head(), HasSubstr("Content-Type: application/x-ndjson"));
  json of_lines = json::array();
  for (const absl::string_view line :
       absl::StrSplit(lines.body(), '\n', absl::SkipEmpty())) {
    of_lines.push_back(json::parse(std::string(line)));
  }
  EXPECT_EQ(of_lines, messages);

  const auto events = ask("text/event-stream");
  json of_events = json::array();
  for (absl::string_view event :
       absl::StrSplit(events.body(), "\n\n", absl::SkipEmpty())) {
    ASSERT_EQ(event.substr(0, 6), "data: ");
    of_events.push_back(json::parse(std::string(event.substr(6))));
  }
  EXPECT_EQ(of_events, messages);
}

TEST_F(HttpRoutesTest, AnErrorBeforeTheFirstMessageHasACodeOfItsOwn) {
  const auto outcome = Post("/lm/v1/generate", {R"({"model":"none"})"},
                            {{"accept", "text/event-stream"}});
  EXPECT_EQ(outcome.code(), 404);
  EXPECT_THAT(outcome.head(), HasSubstr("Content-Type: application/json"));
}

TEST_F(HttpRoutesTest, ScoresAStreamOfLines) {
  const std::string line = R"({"model":"tiny","texts":[{"text":"the cat"}]})"
                           "\n";
  const auto outcome =
      Post("/lm/v1/score:stream",
           {line.substr(0, 10), line.substr(10) + "\r\n" + line,
            R"({"model":"tiny","texts":[{"text":"a"}]})"});
  ASSERT_EQ(outcome.code(), 200);
  const std::string body = outcome.body();
  const std::vector<std::string> lines =
      absl::StrSplit(body, '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 3u) << body;
  EXPECT_EQ(lines[0], lines[1]);
  EXPECT_EQ(json::parse(lines[2])["scores"][0]["wordCount"], 2);
}

TEST_F(HttpRoutesTest, TheFirstErrorOfAStreamIsItsLastLine) {
  const auto outcome = Post("/lm/v1/score:stream",
                            {R"({"model":"tiny","texts":[{"text":"the"}]})"
                             "\n{\"modle\":1}\n"
                             R"({"model":"tiny","texts":[{"text":"the"}]})"
                             "\n"});
  EXPECT_EQ(outcome.code(), 200);
  const std::string body = outcome.body();
  const std::vector<std::string> lines =
      absl::StrSplit(body, '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 2u);
  const json error = json::parse(lines[1])["error"];
  EXPECT_EQ(error["code"], 400);
  EXPECT_THAT(error["message"].get<std::string>(),
              HasSubstr("request 1: the body is not a ScoreRequest"));
  EXPECT_FALSE(outcome.may_keep);
}

TEST_F(HttpRoutesTest, ALineThatIsTooLongEndsTheStream) {
  const auto outcome = Post("/lm/v1/score:stream",
                            {std::string(3000, ' '), std::string(3000, ' ')});
  EXPECT_EQ(outcome.code(), 413);
  EXPECT_THAT(outcome.body(), HasSubstr("request 0: request bytes"));
}

TEST_F(HttpRoutesTest, DecodesWithStatesOfTheConnection) {
  const auto outcome =
      Post("/lm/v1/decode",
           {"{\"start\":{\"model\":\"tiny\",\"words\":[\"cat\"]}}\n",
            "{\"best\":{\"handles\":[0],\"k\":1,\"words\":true}}\n",
            "{\"best\":{\"handles\":[9]}}\n", "{}\n"});
  ASSERT_EQ(outcome.code(), 200);
  const std::string body = outcome.body();
  const std::vector<std::string> lines =
      absl::StrSplit(body, '\n', absl::SkipEmpty());
  ASSERT_EQ(lines.size(), 4u) << body;
  EXPECT_EQ(json::parse(lines[0])["started"]["model"]["name"], "tiny");
  EXPECT_EQ(json::parse(lines[1])["best"]["words"].size(), 1u);
  EXPECT_EQ(json::parse(lines[2])["failed"]["code"], 3);
  EXPECT_EQ(json::parse(lines[3]), json::object());
}

TEST_F(HttpRoutesTest, ListsTheVocabulary) {
  const auto outcome = Get("/lm/v1/models/flat/vocabulary");
  ASSERT_EQ(outcome.code(), 200);
  const json messages = json::parse(outcome.body());
  EXPECT_EQ(messages[0]["words"][3], "the");
}

TEST_F(HttpRoutesTest, DescribesModels) {
  const auto all = Get("/lm/v1/models");
  ASSERT_EQ(all.code(), 200);
  EXPECT_EQ(json::parse(all.body())["models"].size(), 5u);
  EXPECT_EQ(Get("/lm/v1/models", {}, "pageToken=x").code(), 400);
  EXPECT_EQ(
      json::parse(Get("/lm/v1/models", {}, "pageToken=4").body())["models"]
          .size(),
      1u);
  const auto one = Get("/lm/v1/models/tiny%40stable");
  EXPECT_EQ(json::parse(one.body())["model"]["version"], "1");
  EXPECT_EQ(Get("/lm/v1/models/none").code(), 404);
  const auto head = Get("/lm/v1/models/tiny", {}, "", "HEAD");
  EXPECT_EQ(head.code(), 200);
  EXPECT_EQ(head.body(), "");
  EXPECT_THAT(head.head(), testing::Not(HasSubstr("Content-Length: 0")));
}

TEST_F(HttpRoutesTest, ReportsHealth) {
  EXPECT_EQ(Get("/healthz").code(), 200);
  EXPECT_EQ(Get("/readyz").code(), 503);
  EXPECT_EQ(Get("/readyz").body(), R"({"status":"NOT_SERVING"})");
  EXPECT_EQ(Get("/lm/v1/health", {}, "service=lm.v1.ModelService").code(), 200);
  EXPECT_EQ(Get("/lm/v1/health", {}, "service=none").code(), 404);
}

TEST_F(HttpRoutesTest, ReturnsTheIdsOfACall) {
  const auto outcome = Get("/lm/v1/models", {{"x-request-id", "abc"}});
  EXPECT_THAT(outcome.head(), HasSubstr("x-request-id: abc\r\n"));
}

class HttpRoutesWithTokensTest : public HttpRoutesTest {
 protected:
  HttpRoutesWithTokensTest() : HttpRoutesTest(/*has_tokens=*/true) {}
};

TEST_F(HttpRoutesWithTokensTest, EveryCallNeedsAToken) {
  const auto none = Get("/lm/v1/models");
  EXPECT_EQ(none.code(), 401);
  EXPECT_THAT(none.head(), HasSubstr("WWW-Authenticate: Bearer\r\n"));
  const HttpField token = {"authorization", "Bearer 0123456789abcdef"};
  EXPECT_EQ(Get("/lm/v1/models", {token}).code(), 200);
  EXPECT_EQ(Get("/metrics").code(), 401);
  EXPECT_EQ(Get("/metrics", {token}).body(), "lm_build_info 1\n");
  EXPECT_EQ(Get("/healthz").code(), 200) << "health needs no token";
  EXPECT_EQ(Get("/lm/v1/openapi.json").code(), 200) << "has no data";
  EXPECT_EQ(Post("/lm/v1/models/tiny:load", {"{}"}, {token}).code(), 403);
  EXPECT_EQ(Post("/lm/v1/score", {"{"}).code(), 401)
      << "before the body is read";
}

TEST(AcceptedFormTest, TheFirstKnownTypeCounts) {
  EXPECT_EQ(AcceptedForm(""), StreamForm::kArray);
  EXPECT_EQ(AcceptedForm("*/*"), StreamForm::kArray);
  EXPECT_EQ(AcceptedForm("text/html, Text/Event-Stream;q=0.9"),
            StreamForm::kEvents);
  EXPECT_EQ(AcceptedForm("application/x-ndjson,application/json"),
            StreamForm::kLines);
  EXPECT_EQ(AcceptedForm("text/html"), StreamForm::kArray);
}

}  // namespace
}  // namespace lmserve
