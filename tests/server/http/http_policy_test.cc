// SPDX-License-Identifier: Apache-2.0
#include "server/http/http_policy.h"

#include "gtest/gtest.h"

namespace lmserve {
namespace {

HttpRequest Post(const std::string& authority,
                 std::vector<HttpField> fields = {}) {
  return {.method = "POST",
          .path = "/",
          .query = "",
          .authority = authority,
          .fields = std::move(fields)};
}

int CodeOf(const HttpPolicy& policy, const HttpRequest& request) {
  const auto error = policy.Check(request);
  return error.has_value() ? error->code : 0;
}

TEST(HttpPolicyTest, AllowsOnlyHostsThatNobodyCanPointHere) {
  const HttpPolicy policy({.hosts = {"models.example.org"}});
  for (const char* host :
       {"localhost", "LOCALHOST:8080", "a.localhost", "127.0.0.1:80",
        "10.1.2.3", "[::1]:8080", "[::1]", "Models.Example.org:443"}) {
    EXPECT_EQ(CodeOf(policy, Post(host)), 0) << host;
  }
  for (const char* host :
       {"evil.example", "localhost.evil.example", "127.0.0.1.evil.example",
        "models.example.org.evil.example", "notlocalhost", "localhost:80@evil",
        "[::1].evil", "[::1", "localhost:8080x", ":80", "0x7f.1",
        "localhost."}) {
    EXPECT_EQ(CodeOf(policy, Post(host)), 403) << host;
    HttpRequest get = Post(host);
    get.method = "GET";
    EXPECT_EQ(CodeOf(policy, get), 403) << "reading is checked, too: " << host;
  }
  EXPECT_EQ(CodeOf(HttpPolicy({.any_host = true}), Post("evil.example")), 0);
}

TEST(HttpPolicyTest, RefusesRequestsOfForeignPages) {
  const HttpPolicy policy({.origins = {"https://page.example"}});
  const struct {
    std::vector<HttpField> fields;
    int code;
  } cases[] = {
      {{}, 0},  // no browser
      {{{"sec-fetch-site", "same-origin"}}, 0},
      {{{"sec-fetch-site", "none"}}, 0},
      {{{"sec-fetch-site", "cross-site"}}, 403},
      {{{"sec-fetch-site", "same-site"}}, 403},
      {{{"sec-fetch-site", "cross-site"}, {"origin", "https://evil.example"}},
       403},
      {{{"sec-fetch-site", "cross-site"}, {"origin", "https://page.example"}},
       0},
      {{{"origin", "https://page.example"}}, 0},
      {{{"origin", "https://page.example.evil"}}, 403},
      {{{"origin", "http://localhost:8080"}}, 0},
      {{{"origin", "http://localhost:9090"}}, 403},
      {{{"origin", "null"}}, 403},
      // The name of this host must not help a page that the browser says is
      // foreign.
      {{{"sec-fetch-site", "cross-site"}, {"origin", "http://localhost:8080"}},
       403},
  };
  for (const auto& [fields, code] : cases) {
    HttpRequest request = Post("localhost:8080", fields);
    EXPECT_EQ(CodeOf(policy, request), code);
    request.method = "GET";  // changes nothing, and the page cannot read it
    EXPECT_EQ(CodeOf(policy, request), 0);
  }
}

TEST(HttpPolicyTest, OnlyListedPagesMayReadAnswers) {
  const HttpPolicy closed({});
  const HttpPolicy open({.origins = {"https://page.example"}});
  HttpRequest request =
      Post("localhost", {{"origin", "https://page.example"},
                         {"access-control-request-method", "POST"}});
  request.method = "OPTIONS";
  EXPECT_TRUE(closed.AnswerFields(request).empty());
  EXPECT_FALSE(closed.IsPreflight(request));
  EXPECT_TRUE(open.IsPreflight(request));
  const auto value = [](const std::vector<HttpField>& fields,
                        absl::string_view name) -> std::string {
    for (const HttpField& field : fields) {
      if (field.name == name) return field.value;
    }
    return "";
  };
  EXPECT_EQ(value(open.AnswerFields(request), "Access-Control-Allow-Origin"),
            "https://page.example");
  EXPECT_EQ(value(open.AnswerFields(request), "Vary"), "Origin");
  request.fields[0].value = "https://evil.example";
  EXPECT_FALSE(open.IsPreflight(request));
  EXPECT_EQ(value(open.AnswerFields(request), "Access-Control-Allow-Origin"),
            "");
  EXPECT_EQ(value(open.AnswerFields(request), "Vary"), "Origin")
      << "a cache must not give this answer to another page";
}

}  // namespace
}  // namespace lmserve
