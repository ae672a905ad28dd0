// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_FUZZ_FUZZ_ROUTES_H_
#define LMSERVE_TESTS_FUZZ_FUZZ_ROUTES_H_

#include <chrono>
#include <string>

#include "server/http/http_api.h"
#include "server/openai/openai_routes.h"
#include "tests/fuzz/fuzz_models.h"
#include "tests/server/handlers/test_serving_context.h"

namespace lmserve {

// Low enough that inputs exceed them.
inline constexpr Limits kRouteLimits = {.message_bytes = 2000,
                                        .words_per_text = 50,
                                        .words = 200,
                                        .texts = 20,
                                        .predictions = 500,
                                        .generated_words = 20,
                                        .beam = 8};

// The routes of a server with the models of FuzzStore(), without sockets.
class FuzzRoutes {
 public:
  FuzzRoutes() {
    AddLanguageModelRoutes(*serving_, context_, &router_);
    AddModelRoutes(FuzzStore(), &FuzzAdminStore(), context_, &router_);
    AddOpenAiRoutes(*serving_, context_, &router_);
    AddHealthRoutes([](const std::string& name) { return name.empty(); },
                    context_, &router_);
  }

  const HttpRouter& router() const { return router_; }

 private:
  TestServing serving_{FuzzStore(), kRouteLimits};
  ShutdownSignal shutdown_;
  CallLimiter limiter_;
  WriteWatchdog watchdog_{std::chrono::milliseconds(0)};
  Metrics metrics_{"fuzz"};
  const RequestLog log_{RequestLogOptions()};
  const CallInterceptor interceptor_{
      nullptr,   shutdown_, limiter_, serving_.budgets(),
      watchdog_, metrics_,  log_};
  const HttpPolicy policy_{
      {.hosts = {"a.example"}, .origins = {"https://b.example"}}};
  const JsonFormat json_;
  WorkPool pool_{1};
  const HttpContext context_{interceptor_, policy_, json_, pool_,
                             static_cast<uint64_t>(kRouteLimits.message_bytes)};
  HttpRouter router_{policy_};
};

}  // namespace lmserve

#endif  // LMSERVE_TESTS_FUZZ_FUZZ_ROUTES_H_
