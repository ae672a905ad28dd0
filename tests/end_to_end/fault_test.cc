// SPDX-License-Identifier: Apache-2.0
//
// Tests lm_server under faults: garbage on its port, thousands of idle
// connections and streams, signals under load, and a full disk.

#include <arpa/inet.h>
#include <grpcpp/client_context.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <fstream>
#include <iterator>
#include <memory>
#include <mutex>
#include <random>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lm/v1/language_model.grpc.pb.h"
#include "server/rpc/wire.h"
#include "tests/end_to_end/programs.h"
#include "tests/server/rpc/raw_call.h"
#include "tests/server/small_store.h"
#include "tests/testing/ngram_models.h"
#include "tests/testing/sanitizers.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using lm::v1::LanguageModelService;

grpc::Status Score(const std::shared_ptr<grpc::Channel>& channel) {
  LanguageModelService::Stub stub(channel);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::seconds(60));
  lm::v1::ScoreRequest request;
  request.set_model("en");
  request.add_texts()->set_text("the cat is small");
  lm::v1::ScoreResponse response;
  grpc::Status status = stub.Score(&context, request, &response);
  if (status.ok()) {
    EXPECT_NEAR(response.scores(0).log_prob(), -2.4868, 1e-3);
  }
  return status;
}

class FaultTest : public testing::Test {
 protected:
  FaultTest() { PublishTinyModel(store_.path(), "en"); }

  const TemporaryDirectory store_;
};

// Opens a TCP connection to a server, whose address is 127.0.0.1:PORT.
int ConnectRaw(const std::string& server) {
  int port = 0;
  EXPECT_TRUE(absl::SimpleAtoi(server.substr(server.rfind(':') + 1), &port));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int connection = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(connect(connection, reinterpret_cast<sockaddr*>(&address),
                    sizeof(address)),
            0);
  return connection;
}

TEST_F(FaultTest, GarbageOnThePort) {
  ServerProcess server(store_.path());
  std::mt19937 random(1);
  const std::string preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  for (int i = 0; i < 200; ++i) {
    std::string bytes = i % 2 == 0 ? "" : preface;
    for (unsigned n = random() % 2000; n > 0; --n) {
      bytes.push_back(static_cast<char>(random()));
    }
    if (i % 20 == 0) bytes = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    const int connection = ConnectRaw(server.address());
    (void)!send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    close(connection);
  }
  EXPECT_TRUE(Score(Connect(server.address())).ok());
}

TEST_F(FaultTest, IdleConnections) {
  constexpr int kConnections = 500;
  ServerProcess server(store_.path());
  std::vector<int> idle;
  idle.reserve(kConnections);
  for (int i = 0; i < kConnections; ++i) {
    idle.push_back(ConnectRaw(server.address()));
  }
  EXPECT_TRUE(Score(Connect(server.address())).ok());
  for (int connection : idle) close(connection);
  EXPECT_TRUE(Score(Connect(server.address())).ok());
}

// An open ScoreStream that sends nothing. Counts itself in *open until it ends.
class OpenStream final : public grpc::ClientBidiReactor<lm::v1::ScoreRequest,
                                                        lm::v1::ScoreResponse> {
 public:
  OpenStream(LanguageModelService::Stub& stub, std::atomic<int>* open)
      : open_(open) {
    ++*open_;
    stub.async()->ScoreStream(&context_, this);
    StartRead(&response_);
    StartCall();
  }
  void Cancel() { context_.TryCancel(); }
  void OnReadDone(bool ok) override {
    if (ok) StartRead(&response_);
  }
  void OnDone(const grpc::Status&) override { --*open_; }

 private:
  std::atomic<int>* const open_;
  grpc::ClientContext context_;
  lm::v1::ScoreResponse response_;
};

TEST_F(FaultTest, TenThousandIdleStreams) {
  constexpr int kStreams = 10'000, kConnections = 16;
  ServerProcess server(store_.path(), {"--max-calls", "20000",
                                       "--max-streams-per-client", "20000"});
  std::vector<std::unique_ptr<LanguageModelService::Stub>> stubs;
  stubs.reserve(kConnections);
  for (int i = 0; i < kConnections; ++i) {
    stubs.push_back(LanguageModelService::NewStub(Connect(server.address())));
  }
  std::atomic<int> open = 0;
  std::vector<std::unique_ptr<OpenStream>> streams;
  streams.reserve(kStreams);
  for (int i = 0; i < kStreams; ++i) {
    streams.push_back(
        std::make_unique<OpenStream>(*stubs[i % kConnections], &open));
  }
  EXPECT_TRUE(Score(Connect(server.address())).ok());
  EXPECT_EQ(open, kStreams);
  for (const auto& stream : streams) stream->Cancel();
  while (open > 0) std::this_thread::yield();
  EXPECT_TRUE(Score(Connect(server.address())).ok());
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().Wait(), 0) << server.process().Errors();
}

// Returns the peak memory of a process in MiB.
double PeakMemory(pid_t process) {
  std::ifstream status(absl::StrCat("/proc/", process, "/status"));
  for (std::string line; std::getline(status, line);) {
    uint64_t kilobytes;
    std::istringstream fields(line);
    if (std::string name; fields >> name >> kilobytes && name == "VmHWM:") {
      return static_cast<double>(kilobytes) / 1024;
    }
  }
  return 0;
}

// Sends a gigabyte of requests at once. The server must refuse requests that
// exceed its budget instead of holding them in memory.
TEST_F(FaultTest, LargeRequestsAtOnceDoNotFillTheMemory) {
  constexpr int kCalls = 128, kBytes = 8 << 20;
  ServerProcess server(store_.path(),
                       {"--max-all-request-bytes", absl::StrCat(4 * kBytes)});
  lm::v1::ScoreRequest request;
  request.set_model("en");
  request.add_texts()->set_text(
      absl::StrCat("the cat", std::string(kBytes - 100, ' ')));
  grpc::ByteBuffer bytes;
  SerializeMessage(request, &bytes);
  struct Sent {
    grpc::ClientContext context;
    grpc::ByteBuffer response;
  };
  std::vector<std::unique_ptr<Sent>> calls;
  std::vector<std::unique_ptr<grpc::GenericStub>> stubs;
  std::atomic<int> answered = 0, refused = 0;
  for (int i = 0; i < kCalls; ++i) {
    if (i % 8 == 0) {
      stubs.push_back(
          std::make_unique<grpc::GenericStub>(Connect(server.address())));
    }
    calls.push_back(std::make_unique<Sent>());
    stubs.back()->UnaryCall(
        &calls.back()->context, "/lm.v1.LanguageModelService/Score", {}, &bytes,
        &calls.back()->response, [&](const grpc::Status& status) {
          EXPECT_TRUE(status.ok() ||
                      status.error_code() == grpc::RESOURCE_EXHAUSTED)
              << status.error_message();
          ++(status.ok() ? answered : refused);
        });
  }
  while (answered + refused < kCalls) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  EXPECT_GT(answered, 0);
  if (!IsSanitized()) {
    EXPECT_LT(PeakMemory(server.process().id()), 450);
  }
  EXPECT_TRUE(Score(Connect(server.address())).ok());
}

// Opens a connection from an address of this machine. Returns its descriptor.
int ConnectFrom(const char* from, const std::string& to) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  inet_pton(AF_INET, from, &address.sin_addr);
  EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)),
            0);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(std::stoi(to.substr(to.rfind(':') + 1)));
  EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)),
            0);
  return fd;
}

TEST_F(FaultTest, OneClientCannotTakeAllConnections) {
  const ServerProcess server(store_.path(), {"--max-connections", "4"});
  std::vector<int> taken;
  taken.reserve(10);
  for (int i = 0; i < 10; ++i) {
    taken.push_back(ConnectFrom("127.0.0.2", server.address()));
  }
  for (int i = 0; i < 2; ++i) {
    EXPECT_TRUE(Score(Connect(server.address())).ok());
  }
  for (int fd : taken) close(fd);
}

// Threads that call Score without pause and count the results.
class Callers {
 public:
  static constexpr int kCallers = 4;

  // After a refused call, the threads continue if `go_on` is set, or end.
  Callers(const std::string& address, bool go_on) {
    for (int i = 0; i < kCallers; ++i) {
      threads_.emplace_back([this, address, go_on] {
        const auto channel = Connect(address);
        bool refused = false;
        while (!stop_ && (go_on || !refused)) {
          const grpc::Status status = Score(channel);
          refused = status.error_code() == grpc::UNAVAILABLE;
          EXPECT_TRUE(status.ok() || refused)
              << status.error_code() << " " << status.error_message();
          ++(refused ? refused_ : answered_);
        }
      });
    }
    WaitForAnswers(100);
  }
  ~Callers() { Stop(); }

  // Waits for `count` more answers.
  void WaitForAnswers(int count) const {
    const int before = answered_;
    while (answered_ < before + count) std::this_thread::yield();
  }

  void Stop() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

  int refused() const { return refused_; }

 private:
  std::atomic<bool> stop_ = false;
  std::atomic<int> answered_ = 0, refused_ = 0;
  std::vector<std::thread> threads_;
};

// Calls that were accepted are answered; later ones fail with UNAVAILABLE.
TEST_F(FaultTest, SigtermUnderLoadLosesNothing) {
  ServerProcess server(store_.path());
  Callers callers(server.address(), /*go_on=*/false);
  server.process().Signal(SIGTERM);
  EXPECT_EQ(server.process().Wait(), 0) << server.process().Errors();
  callers.Stop();
  EXPECT_EQ(callers.refused(), Callers::kCallers);
}

TEST_F(FaultTest, SigkillUnderLoadAndANewServer) {
  std::string address;
  {
    ServerProcess server(store_.path());
    address = server.address();
  }
  auto first =
      std::make_unique<ServerProcess>(store_.path(), Arguments(), address);
  Callers callers(address, /*go_on=*/true);
  first->process().Signal(SIGKILL);
  EXPECT_EQ(first->process().Wait(), -SIGKILL);
  ServerProcess second(store_.path(), {}, address);
  // A client of gRPC tries again after a second. Busy threads see each step of
  // a connection only after five, so more steps would take minutes.
  const auto begin = std::chrono::steady_clock::now();
  callers.WaitForAnswers(100);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(20));
}

// Versions change under load: every call is answered, and all its scores are
// those of one version, which the response names.
TEST_F(FaultTest, SwapsUnderLoadLoseNothing) {
  constexpr uint64_t kSwaps = 20;
  ServerProcess server(store_.path(), {"--poll-seconds", "0.02"});
  std::atomic<uint64_t> newest = 0;  // version that has answered
  std::vector<std::thread> callers;
  callers.reserve(4);
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      LanguageModelService::Stub stub(Connect(server.address()));
      lm::v1::ScoreRequest request;
      request.set_model("en");
      for (int text = 0; text < 3; ++text) {
        request.add_texts()->set_text("the cat is small");
      }
      while (newest < kSwaps) {
        grpc::ClientContext context;
        lm::v1::ScoreResponse response;
        const grpc::Status status = stub.Score(&context, request, &response);
        ASSERT_TRUE(status.ok()) << status.error_message();
        const uint64_t version = response.model().version();
        for (const lm::v1::TextScore& score : response.scores()) {
          // Odd versions are the tiny model, even ones the flat model.
          EXPECT_NEAR(score.log_prob(), version % 2 == 1 ? -2.4868 : -5.0657,
                      1e-3)
              << version;
        }
        newest = std::max<uint64_t>(newest, version);
      }
    });
  }
  for (uint64_t version = 2; version <= kSwaps; ++version) {
    if (version % 2 == 0) {
      PublishArpa(store_.path(), "en", FlatArpa());
    } else {
      PublishTinyModel(store_.path(), "en");
    }
    while (newest < version) std::this_thread::yield();
  }
  for (std::thread& caller : callers) caller.join();
}

// Imitates a full disk, where a write fails in the middle: programs started
// during its lifetime cannot write files larger than `bytes`.
class FullDisk {
 public:
  explicit FullDisk(rlim_t bytes) : action_(signal(SIGXFSZ, SIG_IGN)) {
    getrlimit(RLIMIT_FSIZE, &limit_);
    const rlimit small = {bytes, limit_.rlim_max};
    setrlimit(RLIMIT_FSIZE, &small);
  }
  ~FullDisk() {
    setrlimit(RLIMIT_FSIZE, &limit_);
    signal(SIGXFSZ, action_);
  }

 private:
  rlimit limit_;
  void (*action_)(int);
};

TEST_F(FaultTest, AFullDiskPublishesNothingAndLosesNothing) {
  ServerProcess server(store_.path(), {"--poll-seconds", "0.05"});
  const TemporaryDirectory texts;
  WriteText(texts.File("text"), DemoText(1000, 1));
  Outcome outcome;
  {
    const FullDisk disk(8192);
    outcome = RunTrainer({"ngram", "--corpus", texts.File("text"), "--store",
                          store_.path(), "--model", "en"});
  }
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_THAT(outcome.errors, testing::HasSubstr("File too large"));
  EXPECT_TRUE(Score(Connect(server.address())).ok());
  const std::string models = server.Client({"models"}).output;
  EXPECT_THAT(models, testing::HasSubstr("en        1"));
  EXPECT_THAT(models, testing::Not(testing::HasSubstr("refused")));
}

TEST_F(FaultTest, LoadedModelsServeWhileTheStoreIsUnreadable) {
  ServerProcess server(store_.path(), {"--poll-seconds", "0.05"});
  const std::string moved = store_.path() + "-moved";
  ASSERT_EQ(rename(store_.path().c_str(), moved.c_str()), 0);
  const auto is_reported = [&] {
    return server.Client({"models"}).output.find("efused") != std::string::npos;
  };
  while (!is_reported()) std::this_thread::yield();
  EXPECT_TRUE(Score(Connect(server.address())).ok());
  ASSERT_EQ(rename(moved.c_str(), store_.path().c_str()), 0);
  while (is_reported()) std::this_thread::yield();
  EXPECT_TRUE(Score(Connect(server.address())).ok());
}

}  // namespace
}  // namespace lmserve
