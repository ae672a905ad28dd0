// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_RPC_STREAM_H_
#define LMSERVE_SERVER_RPC_STREAM_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <coroutine>
#include <cstddef>

#include "server/rpc/wire.h"
#include "server/transport/stream_operation.h"

namespace lmserve {

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

// The messages of such a stream, as transport/streaming.h needs them.
template <typename Stream>
class GrpcMessages {
 public:
  explicit GrpcMessages(Stream* stream) : stream_(*stream) {}

  auto Read() { return stream_.Read(&in_); }
  absl::Status Parse(RequestReader* reader,
                     google::protobuf::Message* request) const {
    return ReadRequest(in_, reader, request);
  }
  void DropRequest() { in_.Clear(); }

  static size_t BytesOf(const google::protobuf::Message& message) {
    return message.ByteSizeLong();
  }
  static std::suspend_never Enter(size_t /*bytes*/) { return {}; }
  // REQUIRES: the message has not changed since BytesOf().
  void Serialize(const google::protobuf::Message& message) {
    SerializeMeasured(message, &out_);
  }
  auto Write() { return stream_.Write(&out_); }

 private:
  Stream& stream_;
  grpc::ByteBuffer in_, out_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_RPC_STREAM_H_
