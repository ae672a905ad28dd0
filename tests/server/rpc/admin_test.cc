// SPDX-License-Identifier: Apache-2.0
//
// Loads, unloads and aliases models through a running server.

#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <string>
#include <thread>

#include "gmock/gmock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "lm/v1/language_model.grpc.pb.h"
#include "server/server.h"
#include "tests/server/rpc/raw_call.h"
#include "tests/server/small_store.h"
#include "tests/testing/ngram_models.h"

namespace lmserve {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

constexpr char kTokens[] = "read 0123456789abcdef\nadmin fedcba9876543210\n";

class AdminTest : public testing::Test {
 protected:
  void StartServer(const std::string& tokens = "") {
    options_.listen = "localhost:0";
    options_.admin_listen = "localhost:0";
    if (!tokens.empty()) {
      options_.tokens_file = files_.File("tokens");
      std::ofstream(options_.tokens_file) << tokens;
    }
    server_ = Server::Start(options_, files_.Open()).value();
    main_ = Connect(server_->address());
    admin_ = Connect(server_->admin_address());
  }

  // Makes a call and returns its status.
  template <typename Request, typename Response>
  grpc::Status Call(grpc::Status (lm::v1::ModelService::Stub::*method)(
                        grpc::ClientContext*, const Request&, Response*),
                    const std::string& request, Response* response,
                    const std::shared_ptr<grpc::Channel>& channel,
                    const std::string& token = "") {
    lm::v1::ModelService::Stub stub(channel);
    grpc::ClientContext context;
    if (!token.empty()) context.AddMetadata("authorization", "Bearer " + token);
    return (stub.*method)(&context, Parse<Request>(request), response);
  }
  grpc::Status Load(const std::string& request, const std::string& token = "") {
    return Call(&lm::v1::ModelService::Stub::LoadModel, request, &loaded_,
                admin_, token);
  }
  grpc::Status Unload(const std::string& request) {
    lm::v1::UnloadModelResponse response;
    return Call(&lm::v1::ModelService::Stub::UnloadModel, request, &response,
                admin_);
  }
  grpc::Status Alias(const std::string& request) {
    lm::v1::SetAliasResponse response;
    return Call(&lm::v1::ModelService::Stub::SetAlias, request, &response,
                admin_);
  }

  // Returns the version that answers for a name, or 0 if there is none.
  uint64_t Answering(const std::string& model) {
    lm::v1::LanguageModelService::Stub stub(main_);
    grpc::ClientContext context;
    auto request = Parse<lm::v1::ScoreRequest>("texts { text: 'the cat' }");
    request.set_model(model);
    lm::v1::ScoreResponse response;
    return stub.Score(&context, request, &response).ok()
               ? response.model().version()
               : 0;
  }

  const SmallStore files_;
  ServerOptions options_;
  std::unique_ptr<Server> server_;
  std::shared_ptr<grpc::Channel> main_, admin_;
  lm::v1::LoadModelResponse loaded_;
};

TEST_F(AdminTest, LoadsAndUnloads) {
  StartServer();
  EXPECT_EQ(Answering("tiny"), 2u);
  EXPECT_TRUE(Unload("name: 'tiny' version: 2").ok());
  EXPECT_EQ(Answering("tiny@2"), 0u);
  EXPECT_TRUE(Load("name: 'tiny' version: 2").ok());
  EXPECT_EQ(loaded_.model().version(), 2u);
  EXPECT_EQ(Answering("tiny"), 2u);
  EXPECT_EQ(Load("name: 'tiny' version: 9").error_code(), grpc::NOT_FOUND);
  EXPECT_EQ(Load("name: '../tiny' version: 1").error_code(),
            grpc::INVALID_ARGUMENT);
}

TEST_F(AdminTest, MovesAnAliasIfItsVersionIsTheExpectedOne) {
  StartServer();
  EXPECT_EQ(Answering("tiny@stable"), 1u);
  EXPECT_EQ(Alias("name: 'tiny' alias: 'stable' version: 2 expected_version: 2")
                .error_code(),
            grpc::FAILED_PRECONDITION);
  EXPECT_EQ(Answering("tiny@stable"), 1u);
  EXPECT_TRUE(
      Alias("name: 'tiny' alias: 'stable' version: 2 expected_version: 1")
          .ok());
  EXPECT_EQ(Answering("tiny@stable"), 2u);
  EXPECT_EQ(Alias("name: 'tiny' alias: 'stable' version: 7").error_code(),
            grpc::NOT_FOUND);
  EXPECT_EQ(Answering("tiny@stable"), 2u);
}

TEST_F(AdminTest, ChangesNothingOnTheMainAddress) {
  StartServer();
  const grpc::Status status = Call(&lm::v1::ModelService::Stub::LoadModel,
                                   "name: 'tiny'", &loaded_, main_);
  EXPECT_EQ(status.error_code(), grpc::UNIMPLEMENTED);
  EXPECT_EQ(status.error_message(),
            "models can be changed only on the server's admin address "
            "(lm_server --admin-listen)");
}

TEST_F(AdminTest, ChangesRequireTheRoleAdmin) {
  StartServer(kTokens);
  EXPECT_EQ(Load("name: 'tiny'").error_code(), grpc::UNAUTHENTICATED);
  EXPECT_EQ(Load("name: 'tiny'", "0123456789abcdef").error_code(),
            grpc::PERMISSION_DENIED);
  EXPECT_TRUE(Load("name: 'tiny'", "fedcba9876543210").ok());
}

TEST_F(AdminTest, HealthFollowsTheLoadedModels) {
  StartServer();
  const auto stub = grpc::health::v1::Health::NewStub(main_);
  const auto check = [&] {
    grpc::ClientContext context;
    HealthCheckRequest request;
    request.set_service("flat");
    HealthCheckResponse response;
    EXPECT_TRUE(stub->Check(&context, request, &response).ok());
    return response.status();
  };
  EXPECT_EQ(check(), HealthCheckResponse::SERVING);
  EXPECT_TRUE(Unload("name: 'flat' version: 1").ok());
  EXPECT_EQ(check(), HealthCheckResponse::NOT_SERVING);
  EXPECT_TRUE(Load("name: 'flat' version: 1").ok());
  EXPECT_EQ(check(), HealthCheckResponse::SERVING);
}

// While versions are loaded and unloaded, every call is answered by one
// version.
TEST_F(AdminTest, NoCallIsLostWhileAnAliasMoves) {
  StartServer();
  std::atomic<bool> stop = false;
  std::atomic<int> answered = 0, lost = 0;
  std::vector<std::thread> callers;
  callers.reserve(4);
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      while (!stop) {
        const uint64_t version = Answering("tiny@stable");
        (version == 1 || version == 2 ? answered : lost)++;
      }
    });
  }
  for (int i = 0; i < 20; ++i) {
    const std::string version = i % 2 == 0 ? "2" : "1";
    EXPECT_TRUE(Alias("name: 'tiny' alias: 'stable' version: " + version).ok());
  }
  while (answered < 100) std::this_thread::yield();
  stop = true;
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(lost, 0);
}

}  // namespace
}  // namespace lmserve
