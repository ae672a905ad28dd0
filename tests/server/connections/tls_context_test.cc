// SPDX-License-Identifier: Apache-2.0
#include "server/connections/tls_context.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <string>

#include "tests/server/captured_log.h"
#include "tests/server/rpc/certificates.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

class TlsContextTest : public testing::Test {
 protected:
  TlsContextTest() {
    options_.certificate = directory_.File("certificate.pem");
    options_.key = directory_.File("key.pem");
    Write(MakeCertificate(root_));
  }

  void Write(const CertifiedKey& pair) const {
    std::ofstream(options_.certificate) << pair.certificate;
    std::ofstream(options_.key) << pair.key;
  }

  const TemporaryDirectory directory_;
  const CertifiedKey root_ = MakeRoot("root");
  TlsOptions options_;
};

TEST_F(TlsContextTest, UsesChangedFiles) {
  const auto tls = TlsContext::Create(options_).value();
  const auto before = tls->Get();
  tls->Refresh();
  EXPECT_EQ(tls->Get(), before);
  Write(MakeCertificate(root_));
  tls->Refresh();
  EXPECT_NE(tls->Get(), before);
}

TEST_F(TlsContextTest, DoesNotBelieveHalfARenewal) {
  const auto tls = TlsContext::Create(options_).value();
  const auto before = tls->Get();
  const CertifiedKey renewed = MakeCertificate(root_);
  for (const std::string& certificate :
       {std::string(), renewed.certificate.substr(0, 100),
        renewed.certificate}) {
    std::ofstream(options_.certificate) << certificate;
    tls->Refresh();
    EXPECT_EQ(tls->Get(), before);
  }
  for (const std::string& key : {std::string(), renewed.key.substr(0, 100)}) {
    std::ofstream(options_.key) << key;
    tls->Refresh();
    EXPECT_EQ(tls->Get(), before);
  }
  std::ofstream(options_.key) << renewed.key;
  tls->Refresh();
  EXPECT_NE(tls->Get(), before);
}

TEST_F(TlsContextTest, KeepsTheFilesThatAreGone) {
  const auto tls = TlsContext::Create(options_).value();
  const auto before = tls->Get();
  std::filesystem::remove(options_.key);
  tls->Refresh();
  EXPECT_EQ(tls->Get(), before);
}

TEST_F(TlsContextTest, CountsAndLogsErrorsThatLast) {
  const CapturedLog log;
  const auto tls = TlsContext::Create(options_).value();
  const auto renewed = MakeCertificate(root_);
  std::ofstream(options_.certificate) << renewed.certificate;
  tls->Refresh();  // the renewal may not have ended
  EXPECT_EQ(tls->failures(), 0u);
  EXPECT_EQ(log.text(), "");
  tls->Refresh();
  tls->Refresh();
  EXPECT_EQ(tls->failures(), 2u);
  const std::string line = log.text();
  EXPECT_THAT(line, testing::AllOf(testing::HasSubstr(options_.key),
                                   testing::HasSubstr(options_.certificate)));
  std::ofstream(options_.key) << renewed.key;
  tls->Refresh();
  EXPECT_EQ(tls->failures(), 2u);
  EXPECT_THAT(log.text(), testing::HasSubstr("use the changed files"));
}

TEST_F(TlsContextTest, KnowsTheExpiryOfTheCertificateInUse) {
  const auto now = std::chrono::system_clock::now();
  const auto tls = TlsContext::Create(options_).value();
  const auto hours = [&] {
    return std::chrono::duration<double, std::ratio<3600>>(tls->expiry() - now)
        .count();
  };
  EXPECT_NEAR(hours(), 1, 0.05);
  Write(MakeCertificate(root_, std::chrono::hours(30)));
  EXPECT_NEAR(hours(), 1, 0.05);
  tls->Refresh();
  EXPECT_NEAR(hours(), 30, 0.05);
  EXPECT_GE(tls->checked(), now);
}

// A key with a passphrase would make OpenSSL ask for it on the terminal.
TEST_F(TlsContextTest, RefusesAKeyWithAPassphrase) {
  const std::string command = absl::StrCat(
      "openssl pkey -in ", options_.key, " -aes256 -passout pass:secret -out ",
      options_.key, ".encrypted 2>/dev/null");
  ASSERT_EQ(std::system(command.c_str()), 0);
  std::filesystem::rename(options_.key + ".encrypted", options_.key);
  EXPECT_EQ(std::string(TlsContext::Create(options_).status().message()),
            "TLS: " + options_.key + ": expected a key without a passphrase");
}

TEST_F(TlsContextTest, RefusesHalfAChain) {
  std::ifstream file(options_.certificate);
  const std::string text(std::istreambuf_iterator<char>(file), {});
  std::ofstream(options_.certificate)
      << text << text.substr(0, text.size() / 2);
  EXPECT_EQ(std::string(TlsContext::Create(options_).status().message()),
            "TLS: " + options_.certificate +
                ": expected certificates in PEM, found a damaged one after 1 "
                "others");
}

TEST_F(TlsContextTest, DoesNotWaitForAFifo) {
  std::filesystem::remove(options_.key);
  ASSERT_EQ(mkfifo(options_.key.c_str(), 0600), 0);
  EXPECT_EQ(std::string(TlsContext::Create(options_).status().message()),
            "TLS: " + options_.key +
                ": expected a regular file, found something else");
}

}  // namespace
}  // namespace lmserve
