// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "models/printable_text.h"
#include "server/http/http_api.h"
#include "server/http/http_call.h"
#include "server/http/http_reply.h"
#include "server/http/query.h"

namespace lmserve {
namespace {

using Stream = std::shared_ptr<HttpStream>;

// The media type of Prometheus' text format.
constexpr char kMetricsType[] = "text/plain; version=0.0.4; charset=utf-8";

DetachedTask AnswerHealth(const HttpContext& context,
                          std::optional<bool> is_serving, std::string name,
                          Stream stream) {
  const HttpCall call(*stream, Priority::kInteractive);
  bool may_keep;
  if (is_serving.has_value()) {
    may_keep = co_await SendReply(
        context, *stream, call, *is_serving ? 200 : 503, kJsonType,
        absl::StrCat(R"({"status":")", *is_serving ? "SERVING" : "NOT_SERVING",
                     R"("})"));
  } else {
    may_keep = co_await SendError(
        context, *stream, call,
        absl::NotFoundError(absl::StrCat("there is no service or model '",
                                         Printable(name), "'")));
  }
  FinishStream(std::move(stream), may_keep);
}

DetachedTask AnswerMetrics(const HttpContext& context,
                           std::function<std::string()> text, bool needs_token,
                           Stream stream) {
  const HttpCall call(*stream, Priority::kInteractive);
  const absl::Status status =
      needs_token ? context.interceptor.CheckToken(call, Role::kRead)
                  : absl::OkStatus();
  bool may_keep;
  if (status.ok()) {
    // It takes milliseconds.
    co_await context.pool.Enter();
    may_keep =
        co_await SendReply(context, *stream, call, 200, kMetricsType, text());
  } else {
    may_keep = co_await SendError(context, *stream, call, status);
  }
  FinishStream(std::move(stream), may_keep);
}

}  // namespace

void AddHealthRoutes(HealthOf health, const HttpContext& context,
                     HttpRouter* router) {
  const auto answer = [health, &context](std::string name, Stream stream) {
    const std::optional<bool> is_serving = health(name);
    AnswerHealth(context, is_serving, std::move(name), std::move(stream));
  };
  router->Add(
      {"GET", "/healthz", "", [answer](Stream stream, const PathArguments&) {
         answer("lm.v1.ModelService", std::move(stream));
       }});
  router->Add(
      {"GET", "/readyz", "", [answer](Stream stream, const PathArguments&) {
         answer("", std::move(stream));
       }});
  router->Add({"GET", "/lm/v1/health", "",
               [answer](Stream stream, const PathArguments&) {
                 std::string name =
                     QueryValue(stream->request().query, "service");
                 answer(std::move(name), std::move(stream));
               }});
}

void AddMetricsRoute(std::function<std::string()> text, bool needs_token,
                     const HttpContext& context, HttpRouter* router) {
  router->Add({"GET", "/metrics", "",
               [text = std::move(text), needs_token, &context](
                   Stream stream, const PathArguments&) {
                 AnswerMetrics(context, text, needs_token, std::move(stream));
               }});
}

}  // namespace lmserve
