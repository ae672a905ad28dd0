// SPDX-License-Identifier: Apache-2.0
#include "server/http/http_router.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/server/http/fake_http_stream.h"

namespace lmserve {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class HttpRouterTest : public testing::Test {
 protected:
  HttpRouterTest() {
    Add("GET", "/lm/v1/models", "");
    Add("GET", "/lm/v1/models/{model}", "");
    Add("POST", "/lm/v1/models/{model}:score", "application/json");
    Add("PUT", "/lm/v1/models/{model}/aliases/{alias}", "application/json");
    Add("DELETE", "/lm/v1/models/{model}/aliases/{alias}", "");
  }

  void Add(const std::string& method, const std::string& path,
           const std::string& type) {
    router_.Add({method, path, type,
                 [this, path](std::shared_ptr<HttpStream> stream,
                              const PathArguments& arguments) {
                   found_ = path;
                   arguments_ = arguments;
                   FinishStream(std::move(stream), true);
                 }});
  }

  // Asks the router; found_ is then the path of the route, or empty.
  FakeHttpStream::Outcome Ask(const std::string& method,
                              const std::string& path,
                              std::vector<HttpField> fields = {},
                              std::vector<std::string> body = {}) {
    found_.clear();
    HttpRequest request = {.method = method,
                           .path = path,
                           .query = "",
                           .authority = "localhost",
                           .fields = std::move(fields)};
    uint64_t size = 0;
    for (const std::string& piece : body) size += piece.size();
    request.body_bytes = size;
    auto ending = std::make_shared<FakeHttpStream::Ending>();
    router_.Answer(std::make_shared<FakeHttpStream>(std::move(request),
                                                    std::move(body), ending));
    return ending->Wait();
  }

  const HttpPolicy policy_{{.origins = {"https://page.example"}}};
  HttpRouter router_{policy_};
  std::string found_;
  PathArguments arguments_;
};

TEST_F(HttpRouterTest, FindsRoutesByTheirParts) {
  Ask("GET", "/lm/v1/models");
  EXPECT_EQ(found_, "/lm/v1/models");
  Ask("GET", "/lm/v1/models/en%401");
  EXPECT_EQ(found_, "/lm/v1/models/{model}");
  EXPECT_EQ(arguments_.at("model"), "en@1");
  Ask("POST", "/lm/v1/models/en@stable:score",
      {{"content-type", "application/JSON; charset=utf-8"}});
  EXPECT_EQ(found_, "/lm/v1/models/{model}:score");
  EXPECT_EQ(arguments_.at("model"), "en@stable");
  Ask("DELETE", "/lm/v1/models/en/aliases/stable");
  EXPECT_EQ(arguments_.at("alias"), "stable");
  Ask("HEAD", "/lm/v1/models");
  EXPECT_EQ(found_, "/lm/v1/models");
}

TEST_F(HttpRouterTest, AnswersForPathsThatItDoesNotHave) {
  for (const char* path :
       {"/", "*", "/lm/v1/models/", "/lm/v1/models//", "/lm/v1/models/a/b",
        "/lm/v1/models/:score", "/lm/v1/models/a:b", "/lm/v1/../v1/models",
        "/lm/v1/models/%", "/lm/v1/models/%zz", "/LM/V1/models"}) {
    const auto outcome = Ask("GET", path);
    EXPECT_EQ(outcome.code(), 404) << path;
    EXPECT_EQ(found_, "");
    EXPECT_THAT(outcome.head(), HasSubstr("Content-Type: application/json"));
    EXPECT_TRUE(outcome.may_keep);
  }
  EXPECT_THAT(Ask("GET", "/<script>").body(),
              HasSubstr("there is no path '/<script>'"));
}

TEST_F(HttpRouterTest, ErrorsHaveTheFormOfThePathsBesides) {
  router_.Add({"GET", "/v1/models", "",
               [](std::shared_ptr<HttpStream> stream, const PathArguments&) {
                 FinishStream(std::move(stream), true);
               },
               [](int, absl::string_view) { return std::string("other"); }});
  for (const char* path : {"/v1/embeddings", "/v1", "/v1/models/a/b"}) {
    EXPECT_EQ(Ask("GET", path).body(), "other") << path;
  }
  EXPECT_EQ(Ask("POST", "/v1/models").body(), "other");
  for (const char* path : {"/v2/models", "/lm/v1/embeddings", "*", "/"}) {
    EXPECT_THAT(Ask("GET", path).body(), HasSubstr("NOT_FOUND")) << path;
  }
}

TEST_F(HttpRouterTest, AnEncodedSlashIsNoSlash) {
  Ask("GET", "/lm/v1/models/a%2Faliases%2Fb");
  EXPECT_EQ(found_, "/lm/v1/models/{model}");
  EXPECT_EQ(arguments_.at("model"), "a/aliases/b");
}

TEST_F(HttpRouterTest, SaysWhichMethodsAPathHas) {
  const auto outcome = Ask("POST", "/lm/v1/models/en/aliases/stable");
  EXPECT_EQ(outcome.code(), 405);
  EXPECT_THAT(outcome.head(), HasSubstr("\r\nAllow: PUT, DELETE\r\n"));
}

TEST_F(HttpRouterTest, TakesOnlyBodiesOfTheRightType) {
  const std::string path = "/lm/v1/models/en:score";
  // A form of a web page can have these types without asking first.
  for (const char* type :
       {"", "text/plain", "multipart/form-data",
        "application/x-www-form-urlencoded", "application/jsonx",
        "application/json,text/plain"}) {
    const auto outcome = Ask("POST", path, {{"content-type", type}}, {"{}"});
    EXPECT_EQ(outcome.code(), 415) << type;
    EXPECT_EQ(found_, "");
    EXPECT_THAT(outcome.head(), HasSubstr("Connection: close"))
        << "the body was not read";
  }
  EXPECT_EQ(
      Ask("POST", path,
          {{"content-type", "application/json"}, {"content-encoding", "gzip"}},
          {"{}"})
          .code(),
      415);
  EXPECT_EQ(Ask("GET", "/lm/v1/models", {}, {"x"}).code(), 400);
}

TEST_F(HttpRouterTest, ChecksThePolicyBeforeThePath) {
  EXPECT_EQ(
      Ask("POST", "/nothing", {{"origin", "https://evil.example"}}).code(),
      403);
  const auto preflight = Ask("OPTIONS", "/lm/v1/models/en:score",
                             {{"origin", "https://page.example"},
                              {"access-control-request-method", "POST"}});
  EXPECT_EQ(preflight.code(), 204);
  EXPECT_THAT(preflight.written, StartsWith("HTTP/1.1 204 No Content\r\n"));
  EXPECT_THAT(preflight.head(), HasSubstr("Access-Control-Allow-Origin: "
                                          "https://page.example\r\n"));
  EXPECT_EQ(Ask("OPTIONS", "/lm/v1/models",
                {{"origin", "https://evil.example"},
                 {"access-control-request-method", "POST"}})
                .code(),
            405);
}

}  // namespace
}  // namespace lmserve
