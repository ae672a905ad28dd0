// SPDX-License-Identifier: Apache-2.0
//
// Encrypted connections, certificates of both sides, and tokens, through a
// running server.

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <chrono>
#include <cstdio>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "lm/v1/language_model.grpc.pb.h"
#include "server/server.h"
#include "tests/server/captured_log.h"
#include "tests/server/rpc/certificates.h"
#include "tests/server/rpc/raw_call.h"
#include "tests/server/small_store.h"

namespace lmserve {
namespace {

class TlsTest : public testing::Test {
 protected:
  TlsTest() {
    // Its library makes the logger at its first use; here no other thread does.
    spdlog::default_logger();
    options_.listen = "localhost:0";
    options_.tls = {store_.File("certificate.pem"), store_.File("key.pem"), "",
                    std::chrono::milliseconds(100)};
    WriteServer(MakeCertificate(root_));
  }

  // Replaces the file as a whole by a rename, as a renewal does.
  void Write(const std::string& path, const std::string& text) const {
    std::ofstream(path + ".new") << text;
    std::rename((path + ".new").c_str(), path.c_str());
  }
  void WriteServer(const CertifiedKey& server) const {
    Write(options_.tls.certificate, server.certificate);
    Write(options_.tls.key, server.key);
  }
  void RequireClients(const CertifiedKey& root) {
    options_.tls.client_ca = store_.File("clients.pem");
    Write(options_.tls.client_ca, root.certificate);
  }

  void StartServer() {
    server_ = Server::Start(options_, store_.Open()).value();
  }
  std::string StartError() const {
    return std::string(
        Server::Start(options_, store_.Open()).status().message());
  }

  // Returns the status code of a call by a client that trusts `root`.
  grpc::StatusCode Call(const CertifiedKey& root,
                        const CertifiedKey& client = {}) const {
    return Call(grpc::SslCredentials(
        {root.certificate, client.key, client.certificate}));
  }
  grpc::StatusCode Call(
      const std::shared_ptr<grpc::ChannelCredentials>& credentials,
      const std::string& token = "") const {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    const auto channel =
        grpc::CreateCustomChannel(server_->address(), credentials, arguments);
    const auto stub = lm::v1::LanguageModelService::NewStub(channel);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() +
                         std::chrono::seconds(30));
    if (!token.empty()) {
      context.AddMetadata("authorization", "Bearer " + token);
    }
    const auto request =
        Parse<lm::v1::ScoreRequest>("model: 'tiny' texts { text: 'the cat' }");
    lm::v1::ScoreResponse response;
    return stub->Score(&context, request, &response).error_code();
  }

  const SmallStore store_;
  const CertifiedKey root_ = MakeRoot("root");
  const CertifiedKey other_root_ = MakeRoot("other");
  ServerOptions options_;
  std::unique_ptr<Server> server_;
};

TEST_F(TlsTest, AnswersClientsThatTrustTheRoot) {
  StartServer();
  EXPECT_EQ(Call(root_), grpc::OK);
  EXPECT_EQ(Call(other_root_), grpc::UNAVAILABLE);
  EXPECT_EQ(Call(grpc::InsecureChannelCredentials()), grpc::UNAVAILABLE);
}

TEST_F(TlsTest, WithClientRootsClientsNeedACertificate) {
  RequireClients(other_root_);
  StartServer();
  EXPECT_EQ(Call(root_, MakeCertificate(other_root_)), grpc::OK);
  EXPECT_EQ(Call(root_), grpc::UNAVAILABLE);
  EXPECT_EQ(Call(root_, MakeCertificate(root_)), grpc::UNAVAILABLE);
  EXPECT_EQ(Call(root_, MakeCertificate(other_root_, std::chrono::seconds(-1))),
            grpc::UNAVAILABLE);
}

TEST_F(TlsTest, UsesRenewedFilesWithoutARestart) {
  StartServer();
  EXPECT_EQ(Call(root_), grpc::OK);
  WriteServer(MakeCertificate(other_root_));
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (Call(other_root_) != grpc::OK) {
    ASSERT_LT(std::chrono::steady_clock::now(), end);
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  EXPECT_EQ(Call(root_), grpc::UNAVAILABLE);
}

// Half a renewal, which does not go on: the log says it once, though there are
// two listeners, and says it soon.
TEST_F(TlsTest, TheLogSaysOnceThatCertificateAndKeyDoNotMatch) {
  const CapturedLog log;
  options_.admin_listen = "localhost:0";
  options_.tls.check_interval = std::chrono::milliseconds(10);
  StartServer();
  Write(options_.tls.certificate, MakeCertificate(root_).certificate);
  const std::string line =
      absl::StrCat("TLS: ", options_.tls.key, ": is not the key of ",
                   options_.tls.certificate, "; the earlier files stay in use");
  const auto lines = [&] {
    return std::vector<std::string>(absl::StrSplit(log.text(), line)).size() -
           1;
  };
  while (lines() == 0) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  std::this_thread::sleep_for(std::chrono::milliseconds(500));
  EXPECT_EQ(lines(), 1u) << log.text();
  EXPECT_EQ(Call(root_), grpc::OK);
}

TEST_F(TlsTest, ReportsErrorsInTheFiles) {
  const std::string certificate = options_.tls.certificate;
  const std::string key = options_.tls.key;
  WriteServer(MakeCertificate(root_, std::chrono::seconds(-1)));
  EXPECT_EQ(StartError(), absl::StrCat("TLS: ", certificate,
                                       ": the certificate has expired"));
  WriteServer({MakeCertificate(root_).certificate, root_.key});
  EXPECT_EQ(StartError(),
            absl::StrCat("TLS: ", key, ": is not the key of ", certificate));
  WriteServer({"hello", root_.key});
  EXPECT_EQ(StartError(),
            absl::StrCat("TLS: ", certificate,
                         ": expected a certificate in PEM, found none"));
  options_.tls.certificate = store_.File("none");
  EXPECT_EQ(StartError(),
            absl::StrCat("TLS: ", store_.File("none"),
                         ": cannot open the file: No such file or directory"));
  options_.tls.certificate.clear();
  EXPECT_EQ(StartError(),
            "TLS: expected a certificate and its key, found only a key");
}

TEST_F(TlsTest, ChecksTheTokensOfTheFile) {
  options_.tokens_file = store_.File("tokens");
  Write(options_.tokens_file, "read 0123456789abcdef\n");
  StartServer();
  const auto credentials = grpc::SslCredentials({root_.certificate, "", ""});
  EXPECT_EQ(Call(credentials, "0123456789abcdef"), grpc::OK);
  EXPECT_EQ(Call(credentials, "another-token-"), grpc::UNAUTHENTICATED);
  EXPECT_EQ(Call(credentials), grpc::UNAUTHENTICATED);
}

}  // namespace
}  // namespace lmserve
