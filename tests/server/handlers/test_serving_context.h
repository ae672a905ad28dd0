// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_SERVER_HANDLERS_TEST_SERVING_CONTEXT_H_
#define LMSERVE_TESTS_SERVER_HANDLERS_TEST_SERVING_CONTEXT_H_

#include <cstdint>
#include <future>
#include <utility>

#include "server/admission/budget.h"
#include "server/batching/batcher.h"
#include "server/call/call.h"
#include "server/call/task.h"
#include "server/handlers/score_cache.h"
#include "server/handlers/serving_context.h"

namespace lmserve {

// Waits for a task, which may run on any threads, and returns its result.
template <typename T>
T Wait(Task<T> task) {
  std::promise<T> result;
  RunDetached(std::move(task),
              [&](T value) { result.set_value(std::move(value)); });
  return result.get_future().get();
}

// Calls handlers without gRPC. `store` and `limits` must outlive it.
class TestServing {
 public:
  TestServing(const ModelStore& store, const Limits& limits,
              const BatcherOptions& options = {},
              uint64_t score_cache_bytes = 1 << 20)
      : batcher_(options),
        budgets_(limits),
        score_cache_(score_cache_bytes),
        serving_{store, limits, batcher_, budgets_, score_cache_} {}

  const ServingContext& operator*() const { return serving_; }
  Batcher& batcher() { return batcher_; }
  Budgets& budgets() { return budgets_; }
  ScoreCache& score_cache() { return score_cache_; }

  // Answers a request by a handler.
  template <typename Request, typename Response>
  absl::Status Answer(Task<absl::Status> (*handler)(const ServingContext&,
                                                    Call&, const Request&,
                                                    Response*),
                      const Request& request, Response* response) const {
    Call call;
    return Wait(handler(serving_, call, request, response));
  }

 private:
  Batcher batcher_;
  Budgets budgets_;
  ScoreCache score_cache_;
  const ServingContext serving_;
};

}  // namespace lmserve

#endif  // LMSERVE_TESTS_SERVER_HANDLERS_TEST_SERVING_CONTEXT_H_
