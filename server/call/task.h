// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_CALL_TASK_H_
#define LMSERVE_SERVER_CALL_TASK_H_

#include <atomic>
#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

namespace lmserve {

// A coroutine that can wait for a model or for a client without blocking a
// thread. It starts when it is awaited or passed to RunDetached(). After a wait
// it continues on the thread that ended the wait: it may change threads at
// every co_await, but runs on one thread at a time.
//
//   Task<int> Half(int x) { co_await queue.Turn(); co_return x / 2; }
//   Task<int> Quarter(int x) { co_return co_await Half(co_await Half(x)); }
//
// Objects that the coroutine takes by reference must outlive it, so the caller
// must keep them until the task ends.
template <typename T>
class [[nodiscard]] Task {
 public:
  class promise_type {
   public:
    Task get_return_object() {
      return Task(std::coroutine_handle<promise_type>::from_promise(*this));
    }
    std::suspend_always initial_suspend() noexcept { return {}; }
    auto final_suspend() noexcept { return FinalAwaiter(); }
    template <typename Value>
    void return_value(Value&& value) {
      value_.emplace(std::forward<Value>(value));
    }
    void unhandled_exception() noexcept { std::terminate(); }

   private:
    friend class Task;

    // The second one of the end of the task and the suspension of the caller
    // resumes the caller. So a task that never waits does not recurse.
    struct FinalAwaiter {
      bool await_ready() noexcept { return false; }
      void await_suspend(std::coroutine_handle<promise_type> self) noexcept {
        promise_type& promise = self.promise();
        const std::coroutine_handle<> caller = promise.caller_;
        if (promise.one_arrived_.exchange(true, std::memory_order_acq_rel)) {
          caller.resume();
        }
      }
      void await_resume() noexcept {}
    };

    std::optional<T> value_;
    std::coroutine_handle<> caller_;
    std::atomic<bool> one_arrived_ = false;
  };

  Task(Task&& other) noexcept : self_(std::exchange(other.self_, nullptr)) {}
  Task& operator=(Task&&) = delete;
  ~Task() {
    if (self_) self_.destroy();
  }

  // co_await starts the task. The caller continues when the task has ended.
  bool await_ready() const noexcept { return false; }
  bool await_suspend(std::coroutine_handle<> caller) {
    self_.promise().caller_ = caller;
    self_.resume();
    return !self_.promise().one_arrived_.exchange(true,
                                                  std::memory_order_acq_rel);
  }
  T await_resume() { return *std::move(self_.promise().value_); }

 private:
  explicit Task(std::coroutine_handle<promise_type> self) : self_(self) {}

  std::coroutine_handle<promise_type> self_;
};

// The return type of a coroutine that nobody waits for. It starts at once and
// frees itself when it ends.
struct DetachedTask {
  struct promise_type {
    DetachedTask get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
};

// Starts a task and does not wait for it. Calls `done` with what the task
// returns, on the thread where the task ends.
template <typename T, typename Done>
DetachedTask RunDetached(Task<T> task, Done done) {
  done(co_await task);
}

}  // namespace lmserve

#endif  // LMSERVE_SERVER_CALL_TASK_H_
