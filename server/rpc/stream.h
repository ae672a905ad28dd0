#ifndef LMSERVE_SERVER_RPC_STREAM_H_
#define LMSERVE_SERVER_RPC_STREAM_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <coroutine>
#include <utility>

namespace lmserve {

// One kind of operation of a stream, of which one is under way at a time.
class StreamOperation {
 public:
  // co_await what it returns: whether the operation that `start` begins
  // succeeded.
  template <typename Start>
  auto Begin(Start start) {
    struct Awaiter {
      bool await_ready() const noexcept { return false; }
      // Once it is begun it may end, and the coroutine with this, at any
      // moment.
      void await_suspend(std::coroutine_handle<> waiter) {
        operation.waiter_ = waiter;
        start();
      }
      bool await_resume() const noexcept { return operation.ok_; }

      StreamOperation& operation;
      Start start;
    };
    return Awaiter{*this, std::move(start)};
  }

  // It has ended.
  void End(bool ok) {
    ok_ = ok;
    waiter_.resume();
  }

 private:
  std::coroutine_handle<> waiter_;
  bool ok_ = false;
};

// A call's stream of answers, for a coroutine: co_await Write() for whether the
// client is still there. Finish() ends the call; thereafter the stream frees
// itself, and may not be touched.
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

// The same with a stream of requests: co_await Read() for whether one came. A
// read and a write may be under way at a time, in two coroutines.
class BidiStream final
    : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  auto Read(grpc::ByteBuffer* message) {
    return reading_.Begin([this, message] { StartRead(message); });
  }
  auto Write(const grpc::ByteBuffer* message) {
    return writing_.Begin([this, message] { StartWrite(message); });
  }

 private:
  void OnReadDone(bool ok) override { reading_.End(ok); }
  void OnWriteDone(bool ok) override { writing_.End(ok); }
  void OnDone() override { delete this; }

  StreamOperation reading_;
  StreamOperation writing_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_RPC_STREAM_H_
