// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HTTP_WORK_POOL_H_
#define LMSERVE_SERVER_HTTP_WORK_POOL_H_

#include <coroutine>
#include <functional>
#include <memory>

namespace lmserve {

// Threads for work that takes too long for the thread of a connection: others
// wait for that. Thread-safe.
class WorkPool {
 public:
  explicit WorkPool(int threads);
  // Waits for the work that has begun.
  ~WorkPool();
  WorkPool(const WorkPool&) = delete;
  WorkPool& operator=(const WorkPool&) = delete;

  // co_await Enter() continues on a thread of the pool.
  auto Enter() {
    struct Awaiter {
      bool await_ready() const noexcept { return false; }
      void await_suspend(std::coroutine_handle<> waiter) {
        pool.Post([waiter] { waiter.resume(); });
      }
      void await_resume() const noexcept {}

      WorkPool& pool;
    };
    return Awaiter{*this};
  }

 private:
  class Impl;

  void Post(std::function<void()> work);

  const std::unique_ptr<Impl> impl_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HTTP_WORK_POOL_H_
