// SPDX-License-Identifier: Apache-2.0
//
// Fuzzes the requests of OpenAI's API. The input is the number of a path and
// the body of a request. An answer must be what clients rely on: the lists of
// the log-probabilities are parallel, the tokens joined are the text, and each
// word is among those of its place.

#include <array>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "tests/fuzz/fuzz_routes.h"
#include "tests/fuzz/require.h"
#include "tests/server/http/fake_http_stream.h"

namespace lmserve {
namespace {

using nlohmann::json;

constexpr std::array kPaths = {"/v1/completions",
                               "/models/tiny/v1/completions",
                               "/models/de-en/v1/completions",
                               "/models/tiny.words/v1/completions",
                               "/models/tiny/tokenize",
                               "/models/tiny/detokenize",
                               "/v1/embeddings",
                               "/models/classifier/v1/embeddings"};

FakeHttpStream::Outcome Post(const std::string& path, std::string body) {
  static const FuzzRoutes* const routes =
      new FuzzRoutes;  // NOLINT: never destroyed
  HttpRequest request = {.method = "POST", .path = path, .query = ""};
  request.authority = "localhost";
  request.fields = {{"content-type", "application/json"}};
  request.body_bytes = body.size();
  const auto ending = std::make_shared<FakeHttpStream::Ending>();
  routes->router().Answer(std::make_shared<FakeHttpStream>(
      std::move(request), std::vector<std::string>{std::move(body)}, ending));
  return ending->Wait();
}

void CheckError(const json& answer) {
  const json& error = answer.at("error");
  Require(error.size() == 4 && error.at("message").is_string() &&
              error.at("type").is_string(),
          "an error has all members");
}

// Checks a choice of an answer. `is_whole`: not a part of a stream.
void CheckChoice(const json& choice, bool is_whole, bool was_cut) {
  const std::string text = choice.at("text");
  const json& logprobs = choice.at("logprobs");
  Require(!is_whole || choice.at("finish_reason").is_string(),
          "a choice says why it ends");
  if (logprobs.is_null()) return;
  const json& tokens = logprobs.at("tokens");
  const json& values = logprobs.at("token_logprobs");
  const json& top = logprobs.at("top_logprobs");
  Require(tokens.size() == values.size() &&
              tokens.size() == logprobs.at("text_offset").size() &&
              (top.is_null() || top.size() == tokens.size()),
          "the lists are parallel");
  std::string joined;
  for (size_t i = 0; i < tokens.size(); ++i) {
    const std::string token = tokens[i];
    const bool is_mark = token == "<s>" || token == "</s>";
    if (!is_mark) joined += token;
    if (values[i].is_null()) {
      Require(i == 0 && is_mark, "only the mark has no value");
    } else if (!top.is_null()) {
      Require(top[i].at(token) == values[i], "a word is among the best");
    }
  }
  // A stop string may cut the last word, and white space at the end of a prompt
  // may be followed by nothing.
  Require(was_cut || absl::StartsWith(text, joined),
          "the tokens joined are the text");
}

void CheckCompletion(const FakeHttpStream::Outcome& outcome, bool has_stops) {
  const std::string body = outcome.body();
  if (!absl::StrContains(outcome.head(), "text/event-stream")) {
    const json answer = json::parse(body);
    if (outcome.code() != 200) return CheckError(answer);
    for (const json& choice : answer.at("choices")) {
      CheckChoice(choice, /*is_whole=*/true, has_stops);
    }
    return;
  }
  Require(absl::StrContains(body, "data: [DONE]\n\n") !=
              absl::StrContains(body, "event: error\n"),
          "a stream ends with [DONE] or an error");
  for (const absl::string_view event :
       absl::StrSplit(body, "\n\n", absl::SkipEmpty())) {
    const absl::string_view data = event.substr(event.find("data: ") + 6);
    if (data == "[DONE]") continue;
    const json chunk = json::parse(data);
    if (chunk.contains("error")) {
      CheckError(chunk);
      continue;
    }
    for (const json& choice : chunk.at("choices")) {
      CheckChoice(choice, /*is_whole=*/false, has_stops);
    }
  }
}

// Checks an answer with embeddings, which are texts in base64 or arrays.
void CheckEmbeddings(const json& answer, const json& request) {
  const json& data = answer.at("data");
  Require(!data.empty(), "every text has a vector");
  const json& format = request.value("encoding_format", json());
  for (size_t i = 0; i < data.size(); ++i) {
    const json& vector = data[i].at("embedding");
    Require(
        data[i].at("index") == i && vector.is_string() == (format == "base64"),
        "vectors have the form that was asked for");
    Require(vector.size() == data[0].at("embedding").size(),
            "all vectors have the same length");
  }
  Require(answer.at("usage").at("total_tokens").is_number_unsigned(),
          "words are counted");
}

void Run(absl::string_view input) {
  if (input.empty()) return;
  const std::string path =
      kPaths[static_cast<unsigned char>(input[0]) % kPaths.size()];
  const std::string body(input.substr(1));
  const FakeHttpStream::Outcome outcome = Post(path, body);
  const int code = outcome.code();
  Require(code >= 200 && code < 500, "an error blames the client");
  if (absl::EndsWith(path, "completions")) {
    const json request = json::parse(body, nullptr, false);
    CheckCompletion(outcome, request.is_object() && request.contains("stop") &&
                                 !request["stop"].is_null());
  } else {
    const json answer = json::parse(outcome.body());
    if (code != 200) return CheckError(answer);
    if (absl::EndsWith(path, "embeddings")) {
      CheckEmbeddings(answer, json::parse(body));
    }
  }
}

}  // namespace
}  // namespace lmserve

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lmserve::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
