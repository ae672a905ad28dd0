// SPDX-License-Identifier: Apache-2.0
#include "server/server.h"

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "gtest/gtest.h"
#include "tests/server/live_server.h"

namespace lmserve {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

constexpr char kLanguageModel[] = "/lm.v1.LanguageModelService/";

TEST(ServerTest, EveryMethodEndToEnd) {
  LiveServer live;
  lm::v1::LanguageModelService::Stub& stub = live.stub();
  {
    grpc::ClientContext context;
    lm::v1::ScoreResponse response;
    const grpc::Status status =
        stub.Score(&context,
                   Parse<lm::v1::ScoreRequest>(
                       "model: 'tiny' texts { text: 'the cat is small' }"),
                   &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_THAT(response.scores(0).log_prob(),
                IsNear(Ln({-0.3, -0.18, -0.22, -0.17, -0.21})));
  }
  {
    grpc::ClientContext context;
    lm::v1::PredictResponse response;
    const grpc::Status status = stub.Predict(
        &context,
        Parse<lm::v1::PredictRequest>("model: 'tiny' contexts {} k: 1"),
        &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(response.predictions(0).words(0), "the");
  }
  {
    grpc::ClientContext context;
    lm::v1::RerankResponse response;
    const grpc::Status status = stub.Rerank(
        &context,
        Parse<lm::v1::RerankRequest>(
            "models: 'tiny' candidates { text { text: 'small is cat the' } } "
            "candidates { text { text: 'the cat is small' } }"),
        &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(response.candidates(0).index(), 1);
  }
  {
    grpc::ClientContext context;
    auto words = stub.Generate(
        &context, Parse<lm::v1::GenerateRequest>(
                      "model: 'tiny' temperature: 0 prompt { text: 'the' }"));
    std::string text;
    lm::v1::GenerateResponse response;
    while (words->Read(&response))
      absl::StrAppend(&text, response.word().word(), "/");
    EXPECT_TRUE(words->Finish().ok());
    EXPECT_EQ(text, "cat/is/small//");  // the last message is the end
    EXPECT_EQ(response.end().word_count(), 3);
  }
  {
    grpc::ClientContext context;
    auto stream = stub.ScoreStream(&context);
    stream->Write(Parse<lm::v1::ScoreRequest>(
        "model: 'tiny' include_end: false texts { text: 'the' }"));
    lm::v1::ScoreResponse response;
    ASSERT_TRUE(stream->Read(&response));
    EXPECT_THAT(response.scores(0).log_prob(), IsNear(Ln({-0.3})));
    stream->WritesDone();
    EXPECT_FALSE(stream->Read(&response));
    EXPECT_TRUE(stream->Finish().ok());
  }
  const auto models = lm::v1::ModelService::NewStub(live.channel());
  {
    grpc::ClientContext context;
    lm::v1::ListModelsResponse response;
    EXPECT_TRUE(models->ListModels(&context, {}, &response).ok());
    EXPECT_EQ(response.models_size(), 5);
  }
  {
    grpc::ClientContext context;
    lm::v1::GetModelResponse response;
    const grpc::Status status = models->GetModel(
        &context, Parse<lm::v1::GetModelRequest>("model: 'tiny'"), &response);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(response.model().version(), 2);
  }
}

bool Answers(const Server& server) {
  return CallRaw(Connect(server.address()), "/lm.v1.ModelService/ListModels",
                 "")
      .status.ok();
}

TEST(ServerTest, ReportsThePortThatItChose) {
  for (const char* host : {"localhost:", "127.0.0.1:"}) {
    LiveServer live({}, absl::StrCat(host, "0"));
    EXPECT_THAT(live.address(), StartsWith(host));
    EXPECT_FALSE(absl::EndsWith(live.address(), ":0"));
    EXPECT_TRUE(Answers(live.server()));
  }
}

TEST(ServerTest, ListensOnAUnixSocket) {
  const TemporaryDirectory directory;
  const std::string address = absl::StrCat("unix:", directory.File("socket"));
  LiveServer live({}, address);
  EXPECT_EQ(live.address(), address);
  EXPECT_TRUE(Answers(live.server()));
}

absl::Status TryListen(const std::string& address) {
  const SmallStore files;
  ServerOptions options;
  options.listen = address;
  return Server::Start(options, files.Open()).status();
}

absl::Status CannotListen(absl::string_view address, absl::string_view why) {
  return absl::UnavailableError(
      absl::StrCat("cannot listen on ", address, ": ", why));
}

constexpr char kInUse[] = "Address already in use";

TEST(ServerTest, AnAddressInUseIsRefused) {
  LiveServer live;
  EXPECT_EQ(TryListen(live.address()), CannotListen(live.address(), kInUse));
  EXPECT_TRUE(Answers(live.server()));
}

TEST(ServerTest, ASocketInUseIsRefused) {
  const TemporaryDirectory directory;
  LiveServer live({}, absl::StrCat("unix:", directory.File("socket")));
  EXPECT_EQ(TryListen(live.address()), CannotListen(live.address(), kInUse));
  EXPECT_TRUE(Answers(live.server()));
}

// A killed server leaves such a socket.
TEST(ServerTest, ASocketThatNobodyListensOnIsReplaced) {
  const TemporaryDirectory directory;
  const std::string address = absl::StrCat("unix:", directory.File("socket"));
  const std::string kept = directory.File("kept");
  {
    LiveServer dead({}, address);
    std::filesystem::create_hard_link(directory.File("socket"), kept);
  }
  std::filesystem::rename(kept, directory.File("socket"));
  LiveServer live({}, address);
  EXPECT_TRUE(Answers(live.server()));
}

TEST(ServerTest, AnInvalidAddressIsRefused) {
  for (const char* address : {"", "localhost:port", "localhost:99999"}) {
    EXPECT_EQ(TryListen(address),
              CannotListen(address, "expected HOST:PORT or unix:PATH"));
  }
  const char missing[] = "unix:/no/such/folder/x";
  EXPECT_EQ(TryListen(missing),
            CannotListen(missing, "No such file or directory"));
}

grpc::StatusCode Health(const LiveServer& live, const std::string& service,
                        HealthCheckResponse::ServingStatus* serving) {
  HealthCheckRequest request;
  request.set_service(service);
  HealthCheckResponse response;
  grpc::ClientContext context;
  const grpc::Status status = grpc::health::v1::Health::NewStub(live.channel())
                                  ->Check(&context, request, &response);
  *serving = response.status();
  return status.error_code();
}

TEST(HealthTest, KnowsServerServicesAndModels) {
  LiveServer live;
  HealthCheckResponse::ServingStatus serving;
  for (const char* service :
       {"", "lm.v1.LanguageModelService", "lm.v1.ModelService", "tiny", "flat",
        "endless", "mute"}) {
    EXPECT_EQ(Health(live, service, &serving), grpc::OK) << service;
    EXPECT_EQ(serving, HealthCheckResponse::SERVING) << service;
  }
  EXPECT_EQ(Health(live, "nobody", &serving), grpc::NOT_FOUND);
}

// Requests the list of services, field 7 of ServerReflectionRequest. The answer
// contains their names as plain text.
TEST(ReflectionTest, ListsTheServices) {
  LiveServer live;
  const RawAnswer answer =
      CallRaw(live.channel(),
              "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
              std::string("\x3a\x01*"));
  ASSERT_TRUE(answer.status.ok()) << answer.status.error_message();
  ASSERT_EQ(answer.messages.size(), 1);
  EXPECT_THAT(answer.messages[0], AllOf(HasSubstr("lm.v1.LanguageModelService"),
                                        HasSubstr("lm.v1.ModelService"),
                                        HasSubstr("grpc.health.v1.Health")));
}

// The size of a large Score request and the error that it got.
struct TooLarge {
  size_t bytes;
  grpc::Status status;
};
// Sends a large Score request, which the server must refuse, and then a small
// one, which it must answer.
TooLarge RefuseLargeScore(const LiveServer& live) {
  const std::string method = absl::StrCat(kLanguageModel, "Score");
  lm::v1::ScoreRequest request =
      Parse<lm::v1::ScoreRequest>("model: 'tiny' texts { text: 'the' }");
  const std::string good = request.SerializeAsString();
  request.mutable_texts(0)->mutable_text()->append(1000, ' ');
  const std::string large = request.SerializeAsString();
  const RawAnswer refused = CallRaw(live.channel(), method, large);
  EXPECT_EQ(refused.status.error_code(), grpc::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(CallRaw(live.channel(), method, good).status.ok());
  return {large.size(), refused.status};
}

TEST(LimitTest, AMessageAboveTheSizeIsRefusedWithBothSizes) {
  const TooLarge refused =
      RefuseLargeScore(LiveServer({.message_bytes = 1000}));
  EXPECT_THAT(refused.status.error_message(),
              AllOf(HasSubstr(absl::StrCat(refused.bytes)), HasSubstr("1000")));
}

TEST(LimitTest, TheBytesOfAllRequestsAreLimited) {
  const TooLarge refused =
      RefuseLargeScore(LiveServer({.all_request_bytes = 1000}));
  EXPECT_EQ(refused.status.error_message(),
            absl::StrCat("request bytes: expected at most 1000, found ",
                         refused.bytes));
}

// The bytes of a request with 20,000 empty values of a field, which are two
// bytes each on the wire and more than a hundred in memory.
std::string ManyEmptyValues(int field_number) {
  std::string bytes;
  for (int i = 0; i < 20'000; ++i) {
    bytes.push_back(static_cast<char>(field_number << 3 | 2));
    bytes.push_back(0);
  }
  return bytes;
}

TEST(LimitTest, TheMemoryOfRequestsIsLimitedForEveryMethod) {
  LiveServer live({.texts = 100'000,
                   .stop_words = 100'000,
                   .all_request_bytes = 1'000'000});
  const struct {
    const char* method;
    int field_number;
  } cases[] = {
      {"Score", lm::v1::ScoreRequest::kTextsFieldNumber},
      {"Predict", lm::v1::PredictRequest::kContextsFieldNumber},
      {"Rerank", lm::v1::RerankRequest::kCandidatesFieldNumber},
      {"Generate", lm::v1::GenerateRequest::kStopWordsFieldNumber},
      {"ScoreStream", lm::v1::ScoreRequest::kTextsFieldNumber},
      {"Decode", lm::v1::DecodeRequest::kReleaseFieldNumber},
  };
  for (const auto& request : cases) {
    const RawAnswer refused =
        CallRaw(live.channel(), absl::StrCat(kLanguageModel, request.method),
                ManyEmptyValues(request.field_number));
    EXPECT_EQ(refused.status.error_code(), grpc::RESOURCE_EXHAUSTED)
        << request.method;
    EXPECT_THAT(refused.status.error_message(),
                HasSubstr("request bytes, in memory: "))
        << request.method;
  }
}

struct Call {
  const char* method;
  std::string request;
};

std::vector<Call> MixedCalls() {
  return {
      {"Score", Parse<lm::v1::ScoreRequest>(
                    "model: 'tiny' per_word: true texts { text: 'the cat is' } "
                    "texts { text: 'zebra dog barks' }")
                    .SerializeAsString()},
      {"Score", Parse<lm::v1::ScoreRequest>(
                    "model: 'flat' texts { ids { ids: [3, 4, 5] } }")
                    .SerializeAsString()},
      {"Predict", Parse<lm::v1::PredictRequest>(
                      "model: 'tiny' contexts { text: 'the cat' } contexts {}")
                      .SerializeAsString()},
      {"Rerank", Parse<lm::v1::RerankRequest>(
                     "models: 'tiny' models: 'flat' "
                     "candidates { text { text: 'a dog barks' } } "
                     "candidates { text { text: 'the cat' } } normalization: "
                     "NORMALIZATION_MEAN")
                     .SerializeAsString()},
      {"Generate",
       Parse<lm::v1::GenerateRequest>("model: 'endless' seed: 5 max_words: 9")
           .SerializeAsString()},
      {"ScoreStream",
       Parse<lm::v1::ScoreRequest>("model: 'tiny' texts { text: 'a small' }")
           .SerializeAsString()},
      {"Score", Parse<lm::v1::ScoreRequest>("model: 'tiny' texts {}")
                    .SerializeAsString()},  // refused with an error
  };
}

std::vector<std::string> Answer(const std::shared_ptr<grpc::Channel>& channel,
                                const Call& call) {
  RawAnswer answer =
      CallRaw(channel, absl::StrCat(kLanguageModel, call.method), call.request);
  answer.messages.push_back(absl::StrCat(answer.status.error_code(), " ",
                                         answer.status.error_message()));
  return answer.messages;
}

TEST(ConcurrencyTest, EveryAnswerEqualsThatOfTheCallAlone) {
  LiveServer live;
  const std::vector<Call> calls = MixedCalls();
  std::vector<std::vector<std::string>> expected;
  expected.reserve(calls.size());
  for (const Call& call : calls) {
    expected.push_back(Answer(live.channel(), call));
  }
  std::vector<int> wrong(16);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < 200; ++i) {
        const size_t c = (i + t) % calls.size();
        wrong[t] += Answer(live.channel(), calls[c]) != expected[c];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(wrong, testing::Each(0));
}

}  // namespace
}  // namespace lmserve
