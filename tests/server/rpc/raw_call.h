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

// A connection of its own to an address, for tests that look at connections.
std::shared_ptr<grpc::Channel> Connect(const std::string& address);

// A call of any method by its name, on bytes, whatever they are: a generated
// stub would not send them. Waits for each step. One thread at a time. A call
// that is not finished is cancelled at the end.
class RawCall {
 public:
  // `method` as in "/lm.v1.ModelService/GetModel".
  RawCall(const std::shared_ptr<grpc::Channel>& channel,
          const std::string& method);
  ~RawCall();

  bool Write(const std::string& message);
  bool WritesDone();
  // The next answer; none at the end.
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

// What a call answered.
struct RawAnswer {
  std::vector<std::string> messages;
  grpc::Status status;
};

// Makes a call of one request, to its end.
RawAnswer CallRaw(const std::shared_ptr<grpc::Channel>& channel,
                  const std::string& method, const std::string& request);

}  // namespace lmserve

#endif  // LMSERVE_TESTS_SERVER_RPC_RAW_CALL_H_
