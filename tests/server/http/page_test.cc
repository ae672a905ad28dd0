// SPDX-License-Identifier: Apache-2.0
#include "server/http/page.h"

#include <set>
#include <string>

#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/http/http_api.h"
#include "tests/server/http/fake_http_stream.h"

namespace lmserve {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr EmbeddedFile kFiles[] = {
    {"index.html", "<p>", "zipped"},
    {"style.css", "p {}", ""},
};

TEST(Page, FindsFilesByPath) {
  const Page page(kFiles);
  ASSERT_NE(page.Find("/"), nullptr);
  EXPECT_EQ(page.Find("/")->bytes, "<p>");
  EXPECT_EQ(page.Find("/")->type, "text/html; charset=utf-8");
  ASSERT_NE(page.Find("/style.css"), nullptr);
  EXPECT_EQ(page.Find("/style.css")->type, "text/css; charset=utf-8");
  for (const char* path :
       {"", "/index.html", "/style", "//", "/../server.cc"}) {
    EXPECT_EQ(page.Find(path), nullptr) << path;
  }
}

TEST(Page, TagsChangeWithTheBytes) {
  constexpr EmbeddedFile kOther[] = {{"index.html", "<b>", ""}};
  EXPECT_NE(Page(kFiles).Find("/")->etag, Page(kOther).Find("/")->etag);
  EXPECT_EQ(Page(kFiles).Find("/")->etag, Page(kFiles).Find("/")->etag);
}

// What the build put into the program.
TEST(Page, TheProgramContainsThePage) {
  const Page page(PageFiles());
  if (page.assets().empty()) GTEST_SKIP() << "built with LMSERVE_PAGE=OFF";
  ASSERT_NE(page.Find("/"), nullptr);
  EXPECT_TRUE(absl::StartsWith(page.Find("/")->bytes, "<!doctype html>"));
  EXPECT_TRUE(absl::EndsWith(page.Find("/")->bytes, "</html>\n"));
  size_t sent = 0;
  std::set<std::string> tags;
  for (const Asset& asset : page.assets()) {
    EXPECT_FALSE(asset.bytes.empty()) << asset.path;
    if (!asset.gzip.empty()) {
      EXPECT_TRUE(absl::StartsWith(asset.gzip, "\x1f\x8b")) << asset.path;
      EXPECT_LT(asset.gzip.size(), asset.bytes.size() + 64) << asset.path;
    }
    EXPECT_TRUE(tags.insert(asset.etag).second) << asset.path;
    sent += asset.gzip.size();
  }
  EXPECT_LT(sent, 70'000u);
}

class PageRoutesTest : public testing::Test {
 protected:
  PageRoutesTest() { AddPageRoutes(std::make_shared<Page>(kFiles), &router_); }

  FakeHttpStream::Outcome Ask(const std::string& method,
                              const std::string& path,
                              std::vector<HttpField> fields = {}) {
    HttpRequest request = {
        .method = method, .path = path, .query = "", .fields = {}};
    request.authority = "localhost";
    request.fields = std::move(fields);
    auto ending = std::make_shared<FakeHttpStream::Ending>();
    router_.Answer(std::make_shared<FakeHttpStream>(
        std::move(request), std::vector<std::string>(), ending));
    return ending->Wait();
  }

  const HttpPolicy policy_{HttpPolicyOptions{}};
  HttpRouter router_{policy_};
};

TEST_F(PageRoutesTest, SendsTheFilesWithTheirPolicy) {
  const FakeHttpStream::Outcome answer = Ask("GET", "/");
  EXPECT_EQ(answer.code(), 200);
  EXPECT_EQ(answer.body(), "<p>");
  EXPECT_TRUE(answer.may_keep);
  EXPECT_THAT(answer.head(), HasSubstr("Content-Type: text/html"));
  EXPECT_THAT(answer.head(),
              HasSubstr("default-src 'none'; script-src 'self'"));
  EXPECT_THAT(answer.head(), HasSubstr("X-Content-Type-Options: nosniff\r\n"));
  EXPECT_THAT(answer.head(), HasSubstr("Cache-Control: no-cache\r\n"));
  EXPECT_THAT(answer.head(), Not(HasSubstr("Content-Encoding")));
  EXPECT_EQ(Ask("GET", "/index.html").code(), 404);
}

TEST_F(PageRoutesTest, SendsCompressedFilesToThoseWhoAcceptThem) {
  for (const char* accepted : {"gzip", "br, GZIP", "br;q=1, gzip;q=0.5"}) {
    const auto answer = Ask("GET", "/", {{"accept-encoding", accepted}});
    EXPECT_EQ(answer.body(), "zipped") << accepted;
    EXPECT_THAT(answer.head(), HasSubstr("Content-Encoding: gzip\r\n"));
    EXPECT_THAT(answer.head(), HasSubstr("Vary: Accept-Encoding\r\n"));
  }
  for (const char* accepted : {"", "br", "gzip;q=0", "gzip;q=x", "x-gzipped"}) {
    EXPECT_EQ(Ask("GET", "/", {{"accept-encoding", accepted}}).body(), "<p>")
        << accepted;
  }
  // There is no compressed form of this file.
  EXPECT_EQ(Ask("GET", "/style.css", {{"accept-encoding", "gzip"}}).body(),
            "p {}");
}

TEST_F(PageRoutesTest, SendsNothingToThoseWhoHaveIt) {
  const std::string etag = Page(kFiles).Find("/")->etag;
  for (const std::string& tags : {etag, "\"x\", W/" + etag, std::string("*")}) {
    const auto answer = Ask("GET", "/", {{"if-none-match", tags}});
    EXPECT_EQ(answer.code(), 304) << tags;
    EXPECT_EQ(answer.body(), "") << tags;
    EXPECT_THAT(answer.head(), HasSubstr(etag)) << tags;
  }
  EXPECT_EQ(Ask("GET", "/", {{"if-none-match", "\"x\""}}).code(), 200);
}

TEST_F(PageRoutesTest, AnswersHead) {
  const auto answer = Ask("HEAD", "/");
  EXPECT_EQ(answer.code(), 200);
  EXPECT_EQ(answer.body(), "");
  EXPECT_THAT(answer.head(), HasSubstr("Content-Length: 3\r\n"));
}

}  // namespace
}  // namespace lmserve
