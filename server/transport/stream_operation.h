// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_TRANSPORT_STREAM_OPERATION_H_
#define LMSERVE_SERVER_TRANSPORT_STREAM_OPERATION_H_

#include <atomic>
#include <coroutine>
#include <utility>

namespace lmserve {

// Operations of one kind, such as the reads of a stream. One of them runs at a
// time.
class StreamOperation {
 public:
  // Returns an awaitable. co_await of it calls `start`, waits for End(), and
  // returns whether the operation succeeded.
  template <typename Start>
  auto Begin(Start start) {
    struct Awaiter {
      bool await_ready() const noexcept { return false; }
      // From start() on, the operation may end on another thread and destroy
      // this awaiter. Nothing must be used afterwards.
      void await_suspend(std::coroutine_handle<> waiter) {
        const Start local = std::move(start);
        operation.waiter_.store(waiter.address(), std::memory_order_release);
        local();
      }
      bool await_resume() const noexcept { return operation.ok_; }

      StreamOperation& operation;
      Start start;
    };
    return Awaiter{*this, std::move(start)};
  }

  // Reports the end of the operation and resumes the coroutine.
  void End(bool ok) {
    ok_ = ok;
    std::coroutine_handle<>::from_address(
        waiter_.load(std::memory_order_acquire))
        .resume();
  }

 private:
  // The address of the coroutine. The transport, too, orders what happens
  // before and after an operation; the atomic shows it to ThreadSanitizer.
  std::atomic<void*> waiter_ = nullptr;
  bool ok_ = false;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_TRANSPORT_STREAM_OPERATION_H_
