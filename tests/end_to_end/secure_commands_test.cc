// SPDX-License-Identifier: Apache-2.0
//
// Tests lm_client and lm_server with TLS, certificates and tokens, and Decode
// of the C++ client.

#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/client.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/end_to_end/http_get.h"
#include "tests/end_to_end/programs.h"
#include "tests/server/rpc/certificates.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using testing::HasSubstr;

class SecureCommandsTest : public testing::Test {
 protected:
  SecureCommandsTest() { PublishTinyModel(files_.path(), "en"); }

  // Writes a file and returns its path.
  std::string File(const std::string& name, const std::string& text) const {
    std::string path = files_.File(name);
    WriteText(path, text);
    return path;
  }

  // The certificate of the server is for localhost.
  Arguments ServerFlags() const {
    return {"--tls-certificate", File("server.pem", server_.certificate),
            "--tls-key", File("server.key", server_.key)};
  }

  const TemporaryDirectory files_;
  const CertifiedKey root_ = MakeRoot("root");
  const CertifiedKey server_ = MakeCertificate(root_);
  const CertifiedKey client_ = MakeCertificate(root_);
  const std::string ca_ = File("root.pem", root_.certificate);
};

TEST_F(SecureCommandsTest, ClientTrustsTheGivenRoot) {
  ServerProcess server(files_.path(), ServerFlags(), "localhost:0");
  EXPECT_EQ(server.Client({"score", "the cat"}).exit_code, 1);
  const Outcome trusting = server.Client({"--tls-ca", ca_, "score", "the cat"});
  EXPECT_EQ(trusting.exit_code, 0) << trusting.errors;
  EXPECT_EQ(server.Client({"--tls-ca", ca_, "health"}).exit_code, 0);
}

// A container's health check uses the address of the server, which differs from
// the name in its certificate.
TEST_F(SecureCommandsTest, TheEnvironmentSetsTlsOptions) {
  ServerProcess server(files_.path(), ServerFlags(), "127.0.0.1:0");
  setenv("LMSERVE_TLS_CA", ca_.c_str(), 1);
  EXPECT_EQ(server.Client({"health"}).exit_code, 1);
  setenv("LMSERVE_TLS_SERVER_NAME", "localhost", 1);
  const Outcome known = server.Client({"health"});
  EXPECT_EQ(known.exit_code, 0) << known.errors;
  unsetenv("LMSERVE_TLS_CA");
  unsetenv("LMSERVE_TLS_SERVER_NAME");
}

TEST_F(SecureCommandsTest, ClientSendsItsCertificateAndToken) {
  Arguments flags = ServerFlags();
  for (const std::string& flag :
       {std::string("--tls-client-ca"), ca_, std::string("--tokens"),
        File("tokens", "read 0123456789abcdef\n")}) {
    flags.push_back(flag);
  }
  ServerProcess server(files_.path(), flags, "localhost:0");
  const Arguments credentials = {
      "--tls-ca",          ca_,
      "--tls-certificate", File("client.pem", client_.certificate),
      "--tls-key",         File("client.key", client_.key)};
  const auto score = [&](const Arguments& more) {
    Arguments arguments = credentials;
    arguments.insert(arguments.end(), more.begin(), more.end());
    arguments.insert(arguments.end(), {"score", "the cat"});
    return server.Client(arguments);
  };
  const std::string token = File("token", "0123456789abcdef\n");
  EXPECT_EQ(score({"--token-file", token}).exit_code, 0);
  const Outcome without = score({});
  EXPECT_EQ(without.exit_code, 1);
  EXPECT_THAT(without.errors, HasSubstr("UNAUTHENTICATED: authorization: "
                                        "expected 'Bearer TOKEN', found none"));
}

TEST_F(SecureCommandsTest, MetricsOfTheFilesThatAreReadAgain) {
  Arguments flags = ServerFlags();
  for (const std::string& flag :
       {std::string("--tokens"), File("tokens", "read 0123456789abcdef\n"),
        std::string("--metrics-listen"), std::string("127.0.0.1:0")}) {
    flags.push_back(flag);
  }
  ServerProcess server(files_.path(), flags, "localhost:0");
  const int port = MetricsPort(server.process());
  const std::string before = HttpGet(port, "/metrics");
  for (const char* expected :
       {"lm_tls_certificate_expiry_timestamp_seconds 1",
        "lm_reload_failures_total{files=\"tls\"} 0\n",
        "lm_reload_failures_total{files=\"tokens\"} 0\n",
        "lm_reload_checked_timestamp_seconds{files=\"tls\"} 1",
        "lm_reload_checked_timestamp_seconds{files=\"tokens\"} 1"}) {
    EXPECT_THAT(before, HasSubstr(expected));
  }
  File("tokens", "read short\n");
  File("server.key", client_.key);
  std::string after;
  do {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    after = HttpGet(port, "/metrics");
  } while (absl::StrContains(after, "{files=\"tls\"} 0\n") ||
           absl::StrContains(after, "{files=\"tokens\"} 0\n"));
}

TEST_F(SecureCommandsTest, TheLibraryDecodes) {
  Arguments flags = ServerFlags();
  flags.insert(flags.end(),
               {"--tokens", File("tokens", "read 0123456789abcdef\n")});
  ServerProcess server(files_.path(), flags, "localhost:0");
  ClientOptions options;
  options.address = server.address();
  options.tls = ClientTls{root_.certificate, "", ""};
  options.token = "0123456789abcdef";
  const Client client(options);
  const auto stream = client.Decode();
  lm::v1::DecodeRequest request;
  request.mutable_start()->set_model("en");
  request.mutable_start()->add_words("the");
  ASSERT_TRUE(stream->Send(request));
  const auto started = stream->Receive();
  ASSERT_TRUE(started.ok()) << started.status();
  request.Clear();
  request.mutable_extend()->add_handles(started->started().handle());
  request.mutable_extend()->add_words(started->started().ids(0));
  ASSERT_TRUE(stream->Send(request));
  EXPECT_EQ(stream->Receive()->extended().log_probs_size(), 1);
  stream->Close();
  EXPECT_EQ(stream->Receive().status(),
            absl::OutOfRangeError("the stream has ended"));

  const auto refused = client.Decode();
  request.Clear();
  EXPECT_TRUE(refused->Send(request));
  EXPECT_THAT(refused->Receive().status().ToString(),
              HasSubstr("INVALID_ARGUMENT: request 0: step: expected start"));
}

}  // namespace
}  // namespace lmserve
