// SPDX-License-Identifier: Apache-2.0
//
// The port that answers health alone, without TLS and tokens.

#include <sys/resource.h>

#include <chrono>
#include <fstream>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "gtest/gtest.h"
#include "tests/server/rpc/certificates.h"
#include "tests/server/server_with_options.h"
#include "tests/testing/ngram_models.h"

namespace lmserve {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using std::chrono::milliseconds;

class HealthAddressTest : public ServerWithOptions {
 protected:
  HealthAddressTest() {
    options_.health_listen = "localhost:0";
    const CertifiedKey root = MakeRoot("root");
    const CertifiedKey server = MakeCertificate(root);
    options_.tls = {Write("certificate.pem", server.certificate),
                    Write("key.pem", server.key),
                    Write("clients.pem", root.certificate)};
    options_.tokens_file = Write("tokens", "read 0123456789abcdef0123456789\n");
  }

  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(files_.File(name)) << text;
    return files_.File(name);
  }

  // Starts the server and connects to the port of health.
  void StartServer(const StoreOptions& store = {}) {
    server_ = Server::Start(options_, files_.Open(store)).value();
    channel_ = Connect(server_->health_address());
  }

  // Returns the answer to a check, or its error.
  std::string Check(const std::string& service,
                    const std::shared_ptr<grpc::Channel>& channel) {
    HealthCheckRequest request;
    request.set_service(service);
    HealthCheckResponse response;
    grpc::ClientContext context;
    const grpc::Status status =
        grpc::health::v1::Health::NewStub(channel)->Check(&context, request,
                                                          &response);
    if (!status.ok()) return status.error_message();
    return HealthCheckResponse::ServingStatus_Name(response.status());
  }
  std::string Check(const std::string& service) {
    return Check(service, channel_);
  }
};

TEST_F(HealthAddressTest, NeedsNeitherTlsNorToken) {
  StartServer();
  for (const char* name : {"", "lm.v1.LanguageModelService",
                           "lm.v1.ModelService", "tiny", "flat"}) {
    EXPECT_EQ(Check(name), "SERVING") << name;
  }
  EXPECT_EQ(Check("no-such-model"), "service name unknown");
}

TEST_F(HealthAddressTest, HasNoOtherMethod) {
  StartServer();
  for (const char* method :
       {"/lm.v1.LanguageModelService/Score", "/lm.v1.ModelService/ListModels",
        "/lm.v1.ModelService/LoadModel",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"}) {
    EXPECT_EQ(CallRaw(channel_, method, "").status.error_code(),
              grpc::UNIMPLEMENTED)
        << method;
  }
}

TEST_F(HealthAddressTest, AnswersAsTheMainAddress) {
  options_.tls = {};
  options_.required_models = {"late"};
  StartServer({.poll = milliseconds(5)});
  const auto main = Connect(server_->address());
  for (const char* name : {"", "tiny", "late", "lm.v1.LanguageModelService"}) {
    EXPECT_EQ(Check(name), Check(name, main)) << name;
  }
  EXPECT_EQ(Check(""), "NOT_SERVING");
  PublishTinyModel(files_.path(), "late");
  while (Check("") != "SERVING") std::this_thread::sleep_for(milliseconds(5));
  EXPECT_EQ(Check("late"), "SERVING");
}

// Returns the next status of a Watch call.
HealthCheckResponse::ServingStatus Next(RawCall& watch) {
  HealthCheckResponse response;
  response.ParseFromString(watch.Read().value_or(""));  // UNKNOWN: no more
  return response.status();
}

TEST_F(HealthAddressTest, WatchersSeeTheDrain) {
  StartServer();
  std::thread drain;
  {
    RawCall watch(channel_, "/grpc.health.v1.Health/Watch");
    HealthCheckRequest request;
    request.set_service("tiny");
    watch.Write(request.SerializeAsString());
    watch.WritesDone();
    EXPECT_EQ(Next(watch), HealthCheckResponse::SERVING);
    drain = std::thread(
        [&] { server_->Drain(milliseconds(0), milliseconds(100)); });
    EXPECT_EQ(Next(watch), HealthCheckResponse::NOT_SERVING);
  }
  drain.join();
}

TEST_F(HealthAddressTest, LimitsConnectionsOfAClient) {
  options_.listener.clients.connections_per_client = 1;
  StartServer();
  EXPECT_EQ(Check(""), "SERVING");
  EXPECT_NE(Check("", Connect(server_->health_address())), "SERVING");
  EXPECT_EQ(Check(""), "SERVING");
}

// Everybody may reach the address, so it holds no large messages.
TEST_F(HealthAddressTest, RefusesLargeMessages) {
  StartServer();
  EXPECT_EQ(Check(std::string(100, 'a')), "service name unknown");
  EXPECT_THAT(Check(std::string(64 << 10, 'a')),
              testing::HasSubstr("larger than max"));
  EXPECT_THAT(Check(std::string(8 << 20, 'a')),
              testing::Not(testing::HasSubstr("request")));
  EXPECT_EQ(Check(""), "SERVING");
}

// The connections of the main address and of this one together have enough
// files.
TEST_F(HealthAddressTest, SharesTheFilesOfTheProcess) {
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  const rlimit few = {256, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  server_ = Server::Start(options_, files_.Open()).value();
  setrlimit(RLIMIT_NOFILE, &before);
  // 128 files for 18 connections of 3 + 3 + 1 files. One client may have half
  // of them.
  std::vector<std::shared_ptr<grpc::Channel>> channels;
  for (int i = 0; i < 9; ++i) {
    channels.push_back(Connect(server_->health_address()));
    EXPECT_EQ(Check("", channels.back()), "SERVING") << i;
  }
  EXPECT_NE(Check("", Connect(server_->health_address())), "SERVING");
}

TEST_F(HealthAddressTest, AnAddressInUseIsAnError) {
  StartServer();
  options_.health_listen = server_->health_address();
  EXPECT_THAT(
      std::string(Server::Start(options_, files_.Open()).status().message()),
      testing::StartsWith("cannot listen on " + options_.health_listen));
}

}  // namespace
}  // namespace lmserve
