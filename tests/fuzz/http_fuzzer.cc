// SPDX-License-Identifier: Apache-2.0
//
// Fuzzes what clients send over HTTP. The input is what comes on a connection.
// How the bytes are cut must not change the requests. Each one that they
// contain goes through the checks and the routes of a server, and its answer
// must be valid HTTP with valid JSON, and blame the client if it is an error.

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "server/http/http_parser.h"
#include "tests/fuzz/fuzz_models.h"
#include "tests/fuzz/fuzz_routes.h"
#include "tests/fuzz/require.h"
#include "tests/server/http/fake_http_stream.h"

namespace lmserve {
namespace {

constexpr HttpHeadLimits kHeadLimits = {.bytes = 1000, .fields = 20};
constexpr size_t kMaxRequests = 20;

struct Request {
  HttpRequest head;
  std::string body;
};

// What a connection makes of the bytes of a client.
struct Connection {
  std::vector<Request> requests;
  int error = 0;
};

Connection Parse(absl::string_view bytes, size_t step) {
  Connection connection;
  std::string in;
  while (connection.requests.size() < kMaxRequests) {
    HttpParser parser(kHeadLimits);
    Request request;
    while (!parser.is_done()) {
      size_t used = 0;
      const auto error =
          in.empty() ? std::nullopt : parser.Put(in, &used, &request.body);
      in.erase(0, used);
      if (error.has_value()) {
        connection.error = error->code;
        return connection;
      }
      if (used > 0 || parser.is_done()) continue;
      if (bytes.empty()) return connection;
      const absl::string_view part = bytes.substr(0, step);
      in.append(part.data(), part.size());
      bytes.remove_prefix(part.size());
    }
    request.head = std::move(parser.request());
    connection.requests.push_back(std::move(request));
  }
  return connection;
}

// A parser that gets a head in parts finds some errors later, at its end.
void CheckSame(const Connection& a, const Connection& b) {
  Require(a.requests.size() == b.requests.size(),
          "the cut of the bytes does not matter");
  for (size_t i = 0; i < a.requests.size(); ++i) {
    Require(a.requests[i].head.path == b.requests[i].head.path &&
                a.requests[i].head.authority == b.requests[i].head.authority &&
                a.requests[i].head.fields.size() ==
                    b.requests[i].head.fields.size() &&
                a.requests[i].body == b.requests[i].body,
            "the cut of the bytes does not change a request");
  }
}

void CheckJson(absl::string_view json) {
  Require(nlohmann::json::accept(json.begin(), json.end()),
          "an answer is valid JSON");
}

void Answer(Request request) {
  static const FuzzRoutes* const routes =
      new FuzzRoutes;  // NOLINT: never destroyed
  const bool is_head = request.head.method == "HEAD";
  std::vector<std::string> pieces;
  for (size_t i = 0; i < request.body.size(); i += 100) {
    pieces.push_back(request.body.substr(i, 100));
  }
  const auto ending = std::make_shared<FakeHttpStream::Ending>();
  routes->router().Answer(std::make_shared<FakeHttpStream>(
      std::move(request.head), std::move(pieces), ending));
  const FakeHttpStream::Outcome outcome = ending->Wait();
  Require(absl::StartsWith(outcome.written, "HTTP/1.1 "), "there is an answer");
  const int code = outcome.code();
  Require((code >= 200 && code < 500) || code == 503 || code == 504,
          "an error blames the client");
  const std::string head = outcome.head();
  Require(absl::StrContains(head, "\r\n\r\n"), "the head has an end");
  for (const absl::string_view line : absl::StrSplit(head, "\r\n")) {
    Require(line.find_first_of("\r\n") == line.npos,
            "what a client sends adds no line to the head");
  }
  if (is_head || code == 204) return;
  const std::string body = outcome.body();
  if (absl::StrContains(head, "Content-Type: application/json\r\n")) {
    CheckJson(body);
  } else if (absl::StrContains(head, "application/x-ndjson\r\n")) {
    for (const absl::string_view line :
         absl::StrSplit(body, '\n', absl::SkipEmpty())) {
      CheckJson(line);
    }
  } else if (absl::StrContains(head, "text/event-stream\r\n")) {
    for (absl::string_view event :
         absl::StrSplit(body, "\n\n", absl::SkipEmpty())) {
      const absl::string_view data = event.substr(event.find("data: ") + 6);
      if (data != "[DONE]") CheckJson(data);
    }
  }
}

void Run(absl::string_view input) {
  Connection whole = Parse(input, input.size() + 1);
  CheckSame(whole, Parse(input, 1));
  CheckSame(whole, Parse(input, 7));
  for (Request& request : whole.requests) Answer(std::move(request));
  if (FuzzAdminStore().List().empty()) LoadAdminModel();
}

}  // namespace
}  // namespace lmserve

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lmserve::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
