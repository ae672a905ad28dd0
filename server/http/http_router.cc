// SPDX-License-Identifier: Apache-2.0
#include "server/http/http_router.h"

#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "models/printable_text.h"
#include "server/call/task.h"
#include "server/http/http_error.h"
#include "server/http/http_response.h"
#include "server/http/query.h"

namespace lmserve {
namespace {

// Sends a whole answer that needs no call, and ends it.
DetachedTask Send(std::shared_ptr<HttpStream> stream, HttpResponseHead head,
                  std::string body) {
  const bool is_head = stream->request().method == "HEAD";
  std::string bytes = WholeResponse(head, body, is_head, !stream->CanKeep());
  const bool written = co_await stream->Write(std::move(bytes));
  FinishStream(std::move(stream), written);
}

void Refuse(std::shared_ptr<HttpStream> stream, const HttpError& error,
            std::vector<HttpField> fields,
            decltype(HttpRoute::error_json) json = ErrorJson) {
  fields.push_back({"Content-Type", "application/json"});
  Send(std::move(stream), {error.code, std::move(fields)},
       json(error.code, error.message));
}

// Matches one segment with a pattern such as "models", "{model}" or
// "{model}:score".
bool Matches(absl::string_view pattern, const std::string& segment,
             PathArguments* arguments) {
  if (!absl::ConsumePrefix(&pattern, "{")) return pattern == segment;
  const size_t end = pattern.find('}');
  const absl::string_view name = pattern.substr(0, end);
  const absl::string_view suffix = pattern.substr(end + 1);
  absl::string_view value = segment;
  if (!absl::ConsumeSuffix(&value, suffix) || value.empty() ||
      absl::StrContains(value, ":")) {
    return false;
  }
  (*arguments)[std::string(name)] = std::string(value);
  return true;
}

std::optional<std::vector<std::string>> Segments(absl::string_view path) {
  std::vector<std::string> segments;
  for (absl::string_view part : absl::StrSplit(path, '/')) {
    std::optional<std::string> segment = PercentDecoded(part);
    if (!segment.has_value()) return std::nullopt;
    segments.push_back(*std::move(segment));
  }
  return segments;
}

// Returns the media type of a Content-Type, without its parameters.
std::string MediaType(absl::string_view content_type) {
  const absl::string_view type = content_type.substr(0, content_type.find(';'));
  return absl::AsciiStrToLower(absl::StripAsciiWhitespace(type));
}

// Returns why the body of a request is not one that the route takes.
std::optional<HttpError> CheckBody(const HttpRoute& route,
                                   const HttpRequest& request) {
  if (route.body_type.empty()) {
    if (!request.has_body()) return std::nullopt;
    return HttpError{400, "expected a request without a body"};
  }
  if (const std::string type = MediaType(request.Field("content-type"));
      type != route.body_type) {
    return HttpError{415,
                     absl::StrCat("expected the Content-Type ", route.body_type,
                                  ", found '", Printable(type), "'")};
  }
  // The size of a compressed body is not known in advance.
  const absl::string_view coding = request.Field("content-encoding");
  if (!coding.empty() && !absl::EqualsIgnoreCase(coding, "identity")) {
    return HttpError{415, "expected a body without Content-Encoding"};
  }
  return std::nullopt;
}

}  // namespace

void HttpRouter::Add(HttpRoute route) {
  patterns_.push_back(absl::StrSplit(route.path, '/'));
  routes_.push_back(std::move(route));
}

HttpRouter::Found HttpRouter::Find(absl::string_view method,
                                   absl::string_view path) const {
  Found found;
  const auto segments = Segments(path);
  if (!segments.has_value() || segments->size() < 2) return found;
  for (size_t number = 0; number < routes_.size(); ++number) {
    const HttpRoute& route = routes_[number];
    const std::vector<std::string>& pattern = patterns_[number];
    if (found.other == nullptr && pattern[1] == (*segments)[1]) {
      found.other = &route;
    }
    if (pattern.size() != segments->size()) continue;
    PathArguments arguments;
    size_t i = 0;
    while (i < pattern.size() &&
           Matches(pattern[i], (*segments)[i], &arguments)) {
      ++i;
    }
    if (i < pattern.size()) continue;
    found.allowed.push_back(route.method);
    found.other = &route;
    if (route.method == method || (route.method == "GET" && method == "HEAD")) {
      found.route = &route;
      found.arguments = std::move(arguments);
      return found;
    }
  }
  return found;
}

void HttpRouter::Answer(std::shared_ptr<HttpStream> stream) const {
  const HttpRequest& request = stream->request();
  std::vector<HttpField> fields = policy_.AnswerFields(request);
  if (const auto error = policy_.Check(request); error.has_value()) {
    return Refuse(std::move(stream), *error, {});
  }
  if (policy_.IsPreflight(request)) {
    const HttpResponseHead head = {204, policy_.PreflightFields(request)};
    Send(std::move(stream), head, "");
    return;
  }
  const Found found = Find(request.method, request.path);
  decltype(HttpRoute::error_json) error_json = ErrorJson;
  if (found.other != nullptr) error_json = found.other->error_json;
  if (found.allowed.empty()) {
    return Refuse(
        std::move(stream),
        {404, absl::StrCat("there is no path '", Printable(request.path), "'")},
        std::move(fields), error_json);
  }
  if (found.route == nullptr) {
    const std::string allowed = absl::StrJoin(found.allowed, ", ");
    fields.push_back({"Allow", allowed});
    return Refuse(std::move(stream),
                  {405, absl::StrCat("expected the method ", allowed,
                                     ", found ", Printable(request.method))},
                  std::move(fields), error_json);
  }
  if (const auto error = CheckBody(*found.route, request); error.has_value()) {
    return Refuse(std::move(stream), *error, std::move(fields),
                  found.route->error_json);
  }
  found.route->answer(std::move(stream), found.arguments);
}

}  // namespace lmserve
