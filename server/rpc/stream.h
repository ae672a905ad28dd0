// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_RPC_STREAM_H_
#define LMSERVE_SERVER_RPC_STREAM_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

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
  // The address of the coroutine. gRPC, too, orders what happens before and
  // after an operation; the atomic shows it to ThreadSanitizer.
  std::atomic<void*> waiter_ = nullptr;
  bool ok_ = false;
};

// The stream of responses of a call, for a coroutine. co_await Write() returns
// false if the call is cancelled or its connection has closed. Finish() ends
// the call; the stream then frees itself and must not be used again.
class WriteStream final : public grpc::ServerWriteReactor<grpc::ByteBuffer> {
 public:
  auto Write(const grpc::ByteBuffer* message) {
    return writing_.Begin([this, message] { StartWrite(message); });
  }

 private:
  void OnWriteDone(bool ok) override { writing_.End(ok); }
  void OnDone() override { delete this; }

  StreamOperation writing_;
};

// A WriteStream with a stream of requests. co_await Read() returns false if
// there are no more. Two coroutines may read and write at the same time.
class BidiStream final
    : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  auto Read(grpc::ByteBuffer* message) {
    return reading_.Begin([this, message] {
      state_ = State::kReading;
      StartRead(message);
    });
  }
  auto Write(const grpc::ByteBuffer* message) {
    return writing_.Begin([this, message] { StartWrite(message); });
  }

  // Ends the call with `status` if a read is in progress, which then returns
  // false. Returns false, and does nothing, if no read is. Any thread may call
  // this while the stream exists.
  bool FinishRead(const grpc::Status& status) {
    State expected = State::kReading;
    if (!state_.compare_exchange_strong(expected, State::kFinished)) {
      return false;
    }
    Finish(status);
    return true;
  }

  // Ends the call, unless FinishRead() has done so. To be called once, by the
  // coroutine.
  void FinishOnce(const grpc::Status& status) {
    if (state_.exchange(State::kFinished) != State::kFinished) Finish(status);
  }

 private:
  enum class State { kNotReading, kReading, kFinished };

  // A message that arrives after FinishRead() is too late.
  void OnReadDone(bool ok) override {
    State expected = State::kReading;
    const bool is_open =
        state_.compare_exchange_strong(expected, State::kNotReading);
    reading_.End(ok && is_open);
  }
  void OnWriteDone(bool ok) override { writing_.End(ok); }
  void OnDone() override { delete this; }

  std::atomic<State> state_ = State::kNotReading;
  StreamOperation reading_;
  StreamOperation writing_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_RPC_STREAM_H_
