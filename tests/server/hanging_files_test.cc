// SPDX-License-Identifier: Apache-2.0
//
// A server whose file system hangs: it answers, and it ends.

#include <chrono>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "gtest/gtest.h"
#include "lm/v1/language_model.grpc.pb.h"
#include "server/server.h"
#include "tests/server/rpc/certificates.h"
#include "tests/server/rpc/raw_call.h"
#include "tests/server/small_store.h"
#include "tests/testing/named_obstacle.h"

namespace lmserve {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

constexpr char kScore[] = "/lm.v1.LanguageModelService/Score";
constexpr char kLoadModel[] = "/lm.v1.ModelService/LoadModel";

std::string ScoreBytes() {
  return Parse<lm::v1::ScoreRequest>("model: 'tiny' texts { text: 'the cat' }")
      .SerializeAsString();
}

std::string LoadBytes(const std::string& name) {
  lm::v1::LoadModelRequest request;
  request.set_name(name);
  return request.SerializeAsString();
}

class HangingFilesTest : public testing::Test {
 protected:
  HangingFilesTest() { options_.listen = "localhost:0"; }
  ~HangingFilesTest() override { obstacle_->RemoveAll(); }

  // Drains the server while something hangs. It must take no longer than the
  // deadline and what threads get that hang.
  void ExpectDrains(Server& server) {
    constexpr milliseconds kDeadline(500), kMore(5'000);
    const auto start = Clock::now();
    server.Drain(kDeadline);
    EXPECT_LT(Clock::now() - start, kDeadline + kMore);
    EXPECT_FALSE(server.all_threads_ended());
  }

  const SmallStore store_;
  const std::shared_ptr<NamedObstacle> obstacle_ =
      std::make_shared<NamedObstacle>();
  ServerOptions options_;
};

TEST_F(HangingFilesTest, TheStore) {
  StoreOptions store;
  store.poll = milliseconds(10);
  store.on_disk_work = [obstacle = obstacle_](const std::string& name) {
    obstacle->Pass(name);
  };
  options_.admin_listen = "localhost:0";
  const auto server = Server::Start(options_, store_.Open(store)).value();
  obstacle_->Add("");
  obstacle_->Add("tiny");
  obstacle_->WaitForOne("");
  const auto admin = Connect(server->admin_address());
  EXPECT_TRUE(CallRaw(admin, kLoadModel, LoadBytes("flat")).status.ok());
  EXPECT_TRUE(
      CallRaw(Connect(server->address()), kScore, ScoreBytes()).status.ok());
  grpc::Status status;
  std::thread loading(
      [&] { status = CallRaw(admin, kLoadModel, LoadBytes("tiny")).status; });
  obstacle_->WaitForOne("tiny");
  ExpectDrains(*server);
  loading.join();
  EXPECT_EQ(status.error_code(), grpc::UNAVAILABLE);
  EXPECT_EQ(status.error_message(), "the server is shutting down; ask again");
}

TEST_F(HangingFilesTest, TheCertificate) {
  const CertifiedKey root = MakeRoot("root");
  const CertifiedKey own = MakeCertificate(root);
  options_.tls.certificate = store_.File("certificate.pem");
  options_.tls.key = store_.File("key.pem");
  options_.tls.check_interval = milliseconds(5);
  options_.tls.on_read = [obstacle = obstacle_] { obstacle->Pass("tls"); };
  std::ofstream(options_.tls.certificate) << own.certificate;
  std::ofstream(options_.tls.key) << own.key;
  const auto server = Server::Start(options_, store_.Open()).value();
  obstacle_->Add("tls");
  obstacle_->WaitForOne("tls");
  for (int i = 0; i < 3; ++i) {  // new connections
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    const auto channel = grpc::CreateCustomChannel(
        server->address(), grpc::SslCredentials({root.certificate, "", ""}),
        arguments);
    EXPECT_TRUE(CallRaw(channel, kScore, ScoreBytes()).status.ok());
  }
  ExpectDrains(*server);
}

}  // namespace
}  // namespace lmserve
