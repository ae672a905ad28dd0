// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_SERVER_SERVER_WITH_OPTIONS_H_
#define LMSERVE_TESTS_SERVER_SERVER_WITH_OPTIONS_H_

#include <grpcpp/channel.h>
#include <gtest/gtest.h>

#include <memory>

#include "server/server.h"
#include "tests/server/rpc/raw_call.h"
#include "tests/server/small_store.h"

namespace lmserve {

// A fixture for tests that set options of a server and then start it with a
// SmallStore on a free port.
class ServerWithOptions : public testing::Test {
 protected:
  ServerWithOptions() { options_.listen = "localhost:0"; }

  void StartServer() {
    server_ = Server::Start(options_, files_.Open()).value();
    channel_ = Connect(server_->address());
  }

  const SmallStore files_;
  ServerOptions options_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace lmserve

#endif  // LMSERVE_TESTS_SERVER_SERVER_WITH_OPTIONS_H_
