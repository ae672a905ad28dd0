// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_SERVER_HTTP_ROUTES_FIXTURE_H_
#define LMSERVE_TESTS_SERVER_HTTP_ROUTES_FIXTURE_H_

#include <chrono>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "server/http/http_context.h"
#include "server/http/http_router.h"
#include "tests/server/handlers/test_serving_context.h"
#include "tests/server/http/fake_http_stream.h"
#include "tests/server/small_store.h"

namespace lmserve {

// Answers requests by a router without sockets, with the models of SmallStore.
// The test adds the routes.
class RoutesFixture : public testing::Test {
 protected:
  explicit RoutesFixture(bool has_tokens = false)
      : store_(files_.Open()), serving_(*store_, limits_) {
    if (has_tokens) {
      std::ofstream(files_.File("tokens"))
          << "read 0123456789abcdef\nadmin fedcba9876543210\n";
      authenticator_ = Authenticator::Create(files_.File("tokens")).value();
    }
    interceptor_.emplace(authenticator_.get(), shutdown_, limiter_,
                         serving_.budgets(), watchdog_, metrics_, log_);
    context_.emplace(HttpContext{*interceptor_, policy_, json_, pool_, 4096});
  }

  FakeHttpStream::Outcome Ask(HttpRequest request,
                              std::vector<std::string> body) {
    request.authority = "localhost";
    uint64_t size = 0;
    for (const std::string& piece : body) size += piece.size();
    request.body_bytes = size;
    auto ending = std::make_shared<FakeHttpStream::Ending>();
    router_.Answer(std::make_shared<FakeHttpStream>(std::move(request),
                                                    std::move(body), ending));
    return ending->Wait();
  }

  FakeHttpStream::Outcome Post(const std::string& path,
                               std::vector<std::string> body,
                               std::vector<HttpField> fields = {}) {
    fields.push_back({"content-type",
                      path == "/lm/v1/decode" || path == "/lm/v1/score:stream"
                          ? "application/x-ndjson"
                          : "application/json"});
    return Ask({.method = "POST",
                .path = path,
                .query = "",
                .fields = std::move(fields)},
               std::move(body));
  }

  FakeHttpStream::Outcome Get(const std::string& path,
                              std::vector<HttpField> fields = {},
                              const std::string& query = "",
                              const std::string& method = "GET") {
    return Ask({.method = method,
                .path = path,
                .query = query,
                .fields = std::move(fields)},
               {});
  }

  const SmallStore files_;
  const std::unique_ptr<ModelStore> store_;
  const Limits limits_;
  TestServing serving_;
  std::unique_ptr<Authenticator> authenticator_;
  ShutdownSignal shutdown_;
  CallLimiter limiter_;
  WriteWatchdog watchdog_{std::chrono::minutes(1)};
  Metrics metrics_{"test"};
  const RequestLog log_{RequestLogOptions()};
  std::optional<CallInterceptor> interceptor_;
  const HttpPolicy policy_{HttpPolicyOptions()};
  const JsonFormat json_;
  WorkPool pool_{1};
  std::optional<HttpContext> context_;
  HttpRouter router_{policy_};
};

}  // namespace lmserve

#endif  // LMSERVE_TESTS_SERVER_HTTP_ROUTES_FIXTURE_H_
