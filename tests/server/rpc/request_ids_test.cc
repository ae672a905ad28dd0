// SPDX-License-Identifier: Apache-2.0
//
// The headers x-request-id and traceparent of a call are in its log lines, and
// the client gets them back.

#include <chrono>
#include <map>
#include <string>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lm/v1/language_model.grpc.pb.h"
#include "tests/server/captured_log.h"
#include "tests/server/live_server.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::Pair;

constexpr char kParent[] =
    "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

class RequestIdsTest : public testing::Test {
 protected:
  // The identifying headers that the client of a finished call got back.
  static std::map<std::string, std::string> Returned(
      const grpc::ClientContext& context) {
    std::map<std::string, std::string> returned;
    for (const auto& [name, value] : context.GetServerInitialMetadata()) {
      if (name == "x-request-id" || name == "traceparent") {
        returned[{name.data(), name.size()}] = {value.data(), value.size()};
      }
    }
    return returned;
  }

  void WaitForLog(const std::string& text) const {
    while (log_.text().find(text) == std::string::npos) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  }

  const CapturedLog log_;
  LiveServer live_;
};

TEST_F(RequestIdsTest, OfCallsAndErrors) {
  for (const char* model : {"tiny", "none"}) {
    grpc::ClientContext context;
    context.AddMetadata("x-request-id", std::string("id-of-") + model);
    context.AddMetadata("traceparent", kParent);
    lm::v1::ScoreRequest request =
        Parse<lm::v1::ScoreRequest>("texts { text: 'the' }");
    request.set_model(model);
    lm::v1::ScoreResponse response;
    live_.stub().Score(&context, request, &response);
    EXPECT_THAT(
        Returned(context),
        ElementsAre(Pair("traceparent", kParent),
                    Pair("x-request-id", std::string("id-of-") + model)));
  }
  WaitForLog(std::string("(x-request-id id-of-tiny, traceparent ") + kParent +
             "): OK in ");
  WaitForLog("(x-request-id id-of-none, traceparent ");
}

TEST_F(RequestIdsTest, OfStreams) {
  grpc::ClientContext context;
  context.AddMetadata("x-request-id", "of-a-stream");
  auto stream = live_.stub().ScoreStream(&context);
  stream->Write(
      Parse<lm::v1::ScoreRequest>("model: 'tiny' texts { text: 'the' }"));
  lm::v1::ScoreResponse response;
  ASSERT_TRUE(stream->Read(&response));
  EXPECT_THAT(Returned(context),
              ElementsAre(Pair("x-request-id", "of-a-stream")));
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
  WaitForLog("(x-request-id of-a-stream): OK");
}

TEST_F(RequestIdsTest, BadOnesAreIgnored) {
  grpc::ClientContext context;
  context.AddMetadata("x-request-id", std::string(129, 'x'));
  context.AddMetadata("traceparent", "00-short");
  lm::v1::ScoreResponse response;
  live_.stub().Score(
      &context,
      Parse<lm::v1::ScoreRequest>("model: 'tiny' texts { text: 'the' }"),
      &response);
  EXPECT_THAT(Returned(context), IsEmpty());
  WaitForLog("Score of tiny@");
  EXPECT_THAT(log_.text(), Not(HasSubstr("x-request-id")));
}

}  // namespace
}  // namespace lmserve
