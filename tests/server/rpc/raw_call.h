// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_SERVER_RPC_RAW_CALL_H_
#define LMSERVE_TESTS_SERVER_RPC_RAW_CALL_H_

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace lmserve {

// Returns a new connection to an address; no other channel shares it.
std::shared_ptr<grpc::Channel> Connect(const std::string& address);

// A call of any method, by its name, whose requests are arbitrary bytes. (A
// generated stub sends only valid messages.) Every member waits until its step
// is done. For one thread at a time. The destructor cancels a call that is not
// finished.
class RawCall {
 public:
  // `method` is a full name such as "/lm.v1.ModelService/GetModel".
  RawCall(const std::shared_ptr<grpc::Channel>& channel,
          const std::string& method);
  ~RawCall();

  bool Write(const std::string& message);
  bool WritesDone();
  // Returns the next answer, or nullopt at the end of the stream.
  std::optional<std::string> Read();
  grpc::Status Finish();

  void Cancel() { context_.TryCancel(); }

 private:
  bool Wait();

  grpc::ClientContext context_;
  grpc::CompletionQueue queue_;
  grpc::GenericStub stub_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> call_;
  bool finished_ = false;
};

// All that a call returned.
struct RawAnswer {
  std::vector<std::string> messages;
  grpc::Status status;
};

// Makes a call with one request and waits for its end.
RawAnswer CallRaw(const std::shared_ptr<grpc::Channel>& channel,
                  const std::string& method, const std::string& request);

}  // namespace lmserve

#endif  // LMSERVE_TESTS_SERVER_RPC_RAW_CALL_H_
