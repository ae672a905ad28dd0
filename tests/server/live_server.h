// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_SERVER_LIVE_SERVER_H_
#define LMSERVE_TESTS_SERVER_LIVE_SERVER_H_

#include <grpcpp/channel.h>

#include <memory>
#include <string>

#include "lm/v1/language_model.grpc.pb.h"
#include "server/server.h"
#include "tests/server/rpc/raw_call.h"
#include "tests/server/small_store.h"

namespace lmserve {

// A server of a SmallStore, on a free port or the address `listen`, with a
// connection to it.
class LiveServer {
 public:
  explicit LiveServer(const Limits& limits = {},
                      const std::string& listen = "localhost:0")
      : server_(Server::Start(Options(limits, listen), store_.Open()).value()),
        channel_(Connect(server_->address())),
        stub_(lm::v1::LanguageModelService::NewStub(channel_)) {}

  Server& server() { return *server_; }
  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  lm::v1::LanguageModelService::Stub& stub() const { return *stub_; }
  const std::string& address() const { return server_->address(); }

  // Destroys the server.
  void Destroy() { server_.reset(); }

 private:
  static ServerOptions Options(const Limits& limits,
                               const std::string& listen) {
    ServerOptions options;
    options.listen = listen;
    options.limits = limits;
    return options;
  }

  const SmallStore store_;
  std::unique_ptr<Server> server_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<lm::v1::LanguageModelService::Stub> stub_;
};

}  // namespace lmserve

#endif  // LMSERVE_TESTS_SERVER_LIVE_SERVER_H_
