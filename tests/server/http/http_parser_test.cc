// SPDX-License-Identifier: Apache-2.0
#include "server/http/http_parser.h"

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

using testing::HasSubstr;

struct Parsed {
  std::optional<HttpError> error;
  HttpRequest request;
  std::string body;
  std::string rest;  // not used
  bool has_head = false;
  bool is_done = false;

  int code() const { return error.has_value() ? error->code : 0; }
};

// Parses bytes that come `step` at once, as a connection does.
Parsed ParseAll(absl::string_view bytes, size_t step = 1 << 20,
                const HttpHeadLimits& limits = {}) {
  HttpParser parser(limits);
  Parsed parsed;
  while (!parser.is_done()) {
    size_t used = 0;
    parsed.error = parser.Put(parsed.rest, &used, &parsed.body);
    parsed.rest.erase(0, used);
    if (parsed.error.has_value()) break;
    if (used > 0 || parser.is_done()) continue;
    if (bytes.empty()) break;
    const absl::string_view part = bytes.substr(0, step);
    parsed.rest.append(part.data(), part.size());
    bytes.remove_prefix(part.size());
  }
  parsed.rest.append(bytes.data(), bytes.size());
  parsed.has_head = parser.has_head();
  parsed.is_done = parser.is_done();
  if (parsed.has_head) parsed.request = parser.request();
  return parsed;
}

constexpr absl::string_view kGet =
    "GET /lm/v1/models?pageToken=2 HTTP/1.1\r\nHost: localhost:8080\r\n"
    "Lm-Priority: bulk\r\n\r\n";

TEST(HttpParserTest, ARequestWithoutABody) {
  for (const size_t step : {1, 7, 1000}) {
    const Parsed parsed = ParseAll(kGet, step);
    ASSERT_EQ(parsed.code(), 0) << parsed.error->message;
    EXPECT_TRUE(parsed.is_done);
    EXPECT_EQ(parsed.request.method, "GET");
    EXPECT_EQ(parsed.request.path, "/lm/v1/models");
    EXPECT_EQ(parsed.request.query, "pageToken=2");
    EXPECT_EQ(parsed.request.authority, "localhost:8080");
    EXPECT_EQ(parsed.request.Field("lm-priority"), "bulk");
    EXPECT_EQ(parsed.request.Field("accept"), "");
    EXPECT_TRUE(parsed.request.keeps_alive);
    EXPECT_FALSE(parsed.request.has_body());
  }
}

TEST(HttpParserTest, BodiesOfBothLengths) {
  for (const size_t step : {1, 3, 1000}) {
    const Parsed whole = ParseAll(
        "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhelloGET",
        step);
    ASSERT_EQ(whole.code(), 0);
    EXPECT_EQ(whole.body, "hello");
    EXPECT_EQ(whole.rest, "GET") << "the next request is left";
    EXPECT_EQ(whole.request.body_bytes, 5u);
    const Parsed chunked = ParseAll(
        "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
        "3\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: x\r\n\r\nGET",
        step);
    ASSERT_EQ(chunked.code(), 0) << chunked.error->message;
    EXPECT_EQ(chunked.body, "hello");
    EXPECT_EQ(chunked.rest, "GET");
    EXPECT_FALSE(chunked.request.body_bytes.has_value());
    EXPECT_EQ(chunked.request.Field("trailer"), "") << "trailers are dropped";
  }
}

// Each of these may mean different requests to different parsers.
TEST(HttpParserTest, RefusesWhatMaySmuggleARequest) {
  const std::vector<std::string> heads = {
      "Host: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n",
      "Host: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n",
      "Host: a\r\nContent-Length: 5, 5\r\n",
      "Host: a\r\nContent-Length: +5\r\n",
      "Host: a\r\nContent-Length: 0x5\r\n",
      "Host: a\r\nContent-Length: -1\r\n",
      "Host: a\r\nContent-Length: 99999999999999999999999\r\n",
      "Host: a\r\nContent-Length:\r\n",
      "Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n",
      "Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n",
      "Host: a\r\nTransfer-Encoding: gzip, chunked\r\n",
      "Host: a\r\nTransfer-Encoding: chunked, chunked\r\n",
      "Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
      "Host: a\r\nTransfer-Encoding: gzip\r\n",
      "Host: a\r\nTransfer-Encoding: identity\r\n",
      "Host: a\r\nTransfer-Encoding: xchunked\r\n",
      "Host: a\r\nTransfer-Encoding : chunked\r\n",
      "Host: a\r\nTransfer-Encoding:\r\n chunked\r\n",
      "Host: a\r\nX: b\r\n Content-Length: 5\r\n",
      "Host: a\r\n\tX: b\r\n",
      "Host: a\r\nX: a\rContent-Length: 5\r\n",
      "Host: a\r\nX: a\nContent-Length: 5\r\n",
      "Host: a\r\nHost: b\r\n",
      "Content-Length: 5\r\n",
      "Host: a\r\nX Y: b\r\n",
      "Host: a\r\n: b\r\n",
      "Host: a\r\nX\r\n",
      absl::StrCat("Host: a\r\nX: ", absl::string_view("\0", 1), "\r\n"),
  };
  for (const std::string& head : heads) {
    for (const size_t step : {1, 1000}) {
      const Parsed parsed = ParseAll(
          absl::StrCat("POST / HTTP/1.1\r\n", head, "\r\nhello"), step);
      EXPECT_EQ(parsed.code(), 400) << head;
    }
  }
  EXPECT_EQ(
      ParseAll("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n").code(),
      400);
}

TEST(HttpParserTest, RefusesChunksThatAreNotPlain) {
  for (const absl::string_view chunks :
       {"5;a=b\r\nhello\r\n0\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n",
        "5\nhello\r\n0\r\n\r\n", "0x5\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffffff\r\n", "-5\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n", "\r\nhello", "g\r\n"}) {
    for (const size_t step : {1, 1000}) {
      const Parsed parsed =
          ParseAll(absl::StrCat("POST / HTTP/1.1\r\nHost: a\r\n"
                                "Transfer-Encoding: chunked\r\n\r\n",
                                chunks),
                   step);
      EXPECT_EQ(parsed.code(), 400) << chunks;
    }
  }
}

TEST(HttpParserTest, RefusesLinesThatAreNoRequest) {
  const struct {
    absl::string_view line;
    int code;
  } cases[] = {{"GET / HTTP/1.2\r\n", 505},
               {"GET / HTTP/2.0\r\n", 505},
               {"PRI * HTTP/2.0\r\n", 505},
               {"GET / HTTP/0.9\r\n", 505},
               {"GET /\r\n", 400},
               {"GET  / HTTP/1.1\r\n", 400},
               {"G(T / HTTP/1.1\r\n", 400},
               {"GET a HTTP/1.1\r\n", 400},
               {"CONNECT a:80 HTTP/1.1\r\n", 400},
               {"GET http:/// HTTP/1.1\r\n", 400},
               {"\x16\x03\x01\x02\r\n", 400}};
  for (const auto& [line, code] : cases) {
    EXPECT_EQ(ParseAll(absl::StrCat(line, "Host: a\r\n\r\n")).code(), code)
        << line;
  }
}

TEST(HttpParserTest, TheAuthorityOfAnAbsoluteTargetCounts) {
  const Parsed parsed = ParseAll(
      "GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n");
  ASSERT_EQ(parsed.code(), 0);
  EXPECT_EQ(parsed.request.authority, "evil.example");
  EXPECT_EQ(parsed.request.path, "/healthz");
}

TEST(HttpParserTest, LimitsTheHead) {
  const std::string begin = "GET / HTTP/1.1\r\nHost: a\r\n";
  std::string many = begin;
  for (int i = 0; i < 100; ++i) absl::StrAppend(&many, "a", i, ": b\r\n");
  std::string long_fields = begin;
  for (int i = 0; i < 50; ++i) {
    absl::StrAppend(&long_fields, "a", i, ": ", std::string(1000, 'b'), "\r\n");
  }
  for (const size_t step : {100, 1000, 100'000}) {
    EXPECT_EQ(ParseAll(absl::StrCat(many, "\r\n"), step).code(), 431);
    EXPECT_EQ(ParseAll(absl::StrCat(long_fields, "\r\n"), step).code(), 431)
        << "also if each field is short";
    EXPECT_EQ(ParseAll(absl::StrCat(begin, "a: ", std::string(20'000, 'b'),
                                    "\r\n\r\n"),
                       step)
                  .code(),
              431);
    EXPECT_EQ(
        ParseAll(absl::StrCat(begin, "a: ", std::string(20'000, 'b')), step)
            .code(),
        431)
        << "also if it does not end";
    EXPECT_EQ(ParseAll(absl::StrCat("GET /", std::string(10'000, 'a'),
                                    " HTTP/1.1\r\nHost: a\r\n\r\n"),
                       step)
                  .code(),
              414);
  }
}

TEST(HttpParserTest, LimitsTrailersAndTheHeadsOfChunks) {
  const std::string begin =
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
  std::string many = absl::StrCat(begin, "0\r\n");
  for (int i = 0; i < 100; ++i) absl::StrAppend(&many, "a", i, ": b\r\n");
  EXPECT_EQ(ParseAll(absl::StrCat(many, "\r\n")).code(), 431);
  EXPECT_EQ(ParseAll(absl::StrCat(begin, std::string(20'000, '0')), 100).code(),
            431);
  EXPECT_EQ(
      ParseAll(absl::StrCat(begin, "0\r\na: ", std::string(20'000, 'b')), 100)
          .code(),
      431);
}

TEST(HttpParserTest, KeepsTheConnectionAsTheClientWants) {
  const struct {
    absl::string_view version, field;
    bool keeps;
  } cases[] = {{"1.1", "", true},
               {"1.1", "Connection: close\r\n", false},
               {"1.1", "Connection: a, Close\r\n", false},
               {"1.1", "Connection: a\r\nConnection: close\r\n", false},
               {"1.0", "", false},
               {"1.0", "Connection: keep-alive\r\n", true}};
  for (const auto& [version, field, keeps] : cases) {
    const Parsed parsed = ParseAll(
        absl::StrCat("GET / HTTP/", version, "\r\nHost: a\r\n", field, "\r\n"));
    ASSERT_EQ(parsed.code(), 0);
    EXPECT_EQ(parsed.request.keeps_alive, keeps) << version << field;
  }
}

TEST(HttpParserTest, Expectations) {
  const auto parse = [](absl::string_view expected) {
    return ParseAll(absl::StrCat(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: ", expected,
        "\r\n\r\n"));
  };
  EXPECT_TRUE(parse("100-Continue").request.expects_continue);
  EXPECT_EQ(parse("more").code(), 417);
}

}  // namespace
}  // namespace lmserve
