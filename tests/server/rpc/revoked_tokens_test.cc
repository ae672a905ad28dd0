// SPDX-License-Identifier: Apache-2.0
//
// Streams end soon after their token was revoked.

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lm/v1/language_model.grpc.pb.h"
#include "tests/server/captured_log.h"
#include "tests/server/server_with_options.h"

namespace lmserve {
namespace {

using std::chrono::milliseconds;

class RevokedTokensTest : public ServerWithOptions {
 protected:
  RevokedTokensTest() {
    WriteToken("0123456789abcdef");
    options_.tokens_file = files_.File("tokens");
    options_.tokens_check = milliseconds(10);
    StartServer();
    stub_ = lm::v1::LanguageModelService::NewStub(channel_);
    context_.AddMetadata("authorization", "Bearer 0123456789abcdef");
  }

  void WriteToken(const std::string& token) const {
    std::ofstream(files_.File("tokens")) << "read " << token << "\n";
  }

  void Revoke() const { WriteToken("fedcba9876543210"); }

  static void ExpectRevoked(const grpc::Status& status) {
    EXPECT_EQ(status.error_code(), grpc::UNAUTHENTICATED);
    EXPECT_EQ(status.error_message(), "authorization: unknown token");
  }

  std::unique_ptr<lm::v1::LanguageModelService::Stub> stub_;
  grpc::ClientContext context_;
};

TEST_F(RevokedTokensTest, AScoreStreamThatWaitsForARequestEnds) {
  auto stream = stub_->ScoreStream(&context_);
  ASSERT_TRUE(stream->Write(
      Parse<lm::v1::ScoreRequest>("model: 'tiny' texts { text: 'the' }")));
  lm::v1::ScoreResponse response;
  ASSERT_TRUE(stream->Read(&response));
  Revoke();
  EXPECT_FALSE(stream->Read(&response));
  ExpectRevoked(stream->Finish());
}

TEST_F(RevokedTokensTest, AScoreStreamWithoutRequestEnds) {
  auto stream = stub_->ScoreStream(&context_);
  std::this_thread::sleep_for(milliseconds(100));
  Revoke();
  lm::v1::ScoreResponse response;
  EXPECT_FALSE(stream->Read(&response));
  ExpectRevoked(stream->Finish());
}

TEST_F(RevokedTokensTest, ABusyDecodeStreamEnds) {
  auto stream = stub_->Decode(&context_);
  ASSERT_TRUE(stream->Write(
      Parse<lm::v1::DecodeRequest>("start { model: 'tiny' words: 'the' }")));
  lm::v1::DecodeResponse response;
  ASSERT_TRUE(stream->Read(&response));
  Revoke();
  while (
      stream->Write(Parse<lm::v1::DecodeRequest>("best { handles: 0 k: 1 }")) &&
      stream->Read(&response)) {
  }
  ExpectRevoked(stream->Finish());
}

// The client reads more slowly than the server generates, and its window stays
// small: otherwise the whole text may be on its way before the server has read
// the file of tokens again.
TEST_F(RevokedTokensTest, AGenerateStreamEnds) {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  const auto stub =
      lm::v1::LanguageModelService::NewStub(grpc::CreateCustomChannel(
          server_->address(), grpc::InsecureChannelCredentials(), arguments));
  auto words = stub->Generate(&context_,
                              Parse<lm::v1::GenerateRequest>(
                                  "model: 'endless' max_words: 10000 seed: 1"));
  lm::v1::GenerateResponse response;
  ASSERT_TRUE(words->Read(&response));
  Revoke();
  int read = 0;
  while (words->Read(&response)) {
    std::this_thread::sleep_for(milliseconds(1));
    ++read;
  }
  ExpectRevoked(words->Finish());
  EXPECT_LT(read, 9000);
}

// The server waits for the client to read, and cannot send another status.
TEST_F(RevokedTokensTest, AStreamThatIsNotReadIsCancelled) {
  const CapturedLog log;
  auto stream = stub_->ScoreStream(&context_);
  lm::v1::ScoreRequest request =
      Parse<lm::v1::ScoreRequest>("model: 'tiny' per_word: true");
  std::string* text = request.add_texts()->mutable_text();
  for (int i = 0; i < 5000; ++i) text->append("the ");
  // The flow control of HTTP/2 stops the answers, then the requests.
  std::atomic<int> written = 0;
  std::thread writer([&] {
    while (stream->Write(request)) ++written;
  });
  int before = -1;
  while (written == 0 || before != written) {
    before = written;
    std::this_thread::sleep_for(milliseconds(200));
  }
  Revoke();
  while (log.text().find("CANCELLED") == std::string::npos) {
    std::this_thread::sleep_for(milliseconds(5));
  }
  EXPECT_THAT(log.text(), testing::HasSubstr("the token of the client was "
                                             "revoked"));
  context_.TryCancel();
  writer.join();
  stream->Finish();
}

}  // namespace
}  // namespace lmserve
