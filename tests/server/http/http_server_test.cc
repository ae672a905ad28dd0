// SPDX-License-Identifier: Apache-2.0
//
// Tests connections over loopback: times, hang-ups, pipelines, the end.

#include "server/http/http_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "server/call/task.h"
#include "server/http/http_response.h"

namespace lmserve {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::StartsWith;

constexpr milliseconds kSoon(5000);

// A client that sends any bytes.
class RawClient {
 public:
  explicit RawClient(const std::string& address)
      : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    int port = 0;
    EXPECT_TRUE(
        absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port));
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<in_port_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(socket_, reinterpret_cast<sockaddr*>(&to), sizeof(to)),
              0);
  }
  ~RawClient() { Close(); }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  void Send(absl::string_view bytes) const {
    (void)send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  }

  // Reads until `end` has come, or the connection has ended.
  std::string ReadUntil(absl::string_view end) {
    while (!absl::StrContains(in_, end) && ReadSome()) {
    }
    const size_t found = in_.find(std::string(end));
    const size_t size = found == in_.npos ? in_.size() : found + end.size();
    std::string read = in_.substr(0, size);
    in_.erase(0, size);
    return read;
  }

  // Reads to the end of the connection; "timeout" if it does not end soon.
  std::string ReadAll() {
    while (ReadSome()) {
    }
    return has_timed_out_ ? "timeout" : std::exchange(in_, {});
  }

  void Close() {
    if (socket_ >= 0) close(socket_);
    socket_ = -1;
  }

 private:
  bool ReadSome() {
    pollfd poll = {socket_, POLLIN, 0};
    if (::poll(&poll, 1, kSoon.count()) <= 0) {
      has_timed_out_ = true;
      return false;
    }
    char bytes[4096];
    const ssize_t size = recv(socket_, bytes, sizeof(bytes), 0);
    if (size <= 0) return false;
    in_.append(bytes, size);
    return true;
  }

  int socket_;
  std::string in_;
  bool has_timed_out_ = false;
};

constexpr absl::string_view kGet = "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n";

class HttpServerTest : public testing::Test {
 protected:
  HttpServerTest() { options_.policy.any_host = true; }

  // /echo returns the length of its body. /wait answers when release_ is called
  // or the client is gone, and counts that.
  void Start() {
    server_ = std::make_unique<HttpServer>(options_, interceptor_);
    HttpRouter& router = server_->router();
    router.Add({"GET", "/echo", "",
                [](std::shared_ptr<HttpStream> stream, const PathArguments&) {
                  Echo(std::move(stream));
                }});
    router.Add({"POST", "/echo", "text/plain",
                [](std::shared_ptr<HttpStream> stream, const PathArguments&) {
                  Echo(std::move(stream));
                }});
    router.Add(
        {"GET", "/wait", "",
         [this](std::shared_ptr<HttpStream> stream, const PathArguments&) {
           std::thread([this, stream = std::move(stream)]() mutable {
             Wait(std::move(stream));
           }).detach();
         }});
    ASSERT_TRUE(server_->Listen("127.0.0.1:0").ok());
  }

  static DetachedTask Echo(std::shared_ptr<HttpStream> stream) {
    std::string piece;
    size_t size = 0;
    while (true) {
      const bool has_piece = co_await stream->Read(&piece);
      if (!has_piece) break;
      size += piece.size();
    }
    bool may_keep = false;
    if (stream->read_status().ok()) {
      std::string answer =
          WholeResponse({200, {}}, absl::StrCat(size),
                        /*is_head_request=*/false, !stream->CanKeep());
      may_keep = co_await stream->Write(std::move(answer));
    }
    FinishStream(std::move(stream), may_keep);
  }

  DetachedTask Wait(std::shared_ptr<HttpStream> stream) {
    ++waiting_;
    while (!stream->IsCancelled() && !is_released_) {
      std::this_thread::sleep_for(milliseconds(1));
    }
    bool may_keep = false;
    if (stream->IsCancelled()) {
      ++cancelled_;
    } else {
      std::string answer =
          WholeResponse({200, {}}, "waited", false, !stream->CanKeep());
      may_keep = co_await stream->Write(std::move(answer));
    }
    FinishStream(std::move(stream), may_keep);
  }

  template <typename Condition>
  static bool Soon(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + kSoon;
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(milliseconds(2));
    }
    return true;
  }

  HttpServerOptions options_;
  ShutdownSignal shutdown_;
  CallLimiter limiter_;
  Budgets budgets_{Limits()};
  WriteWatchdog watchdog_{std::chrono::minutes(1)};
  Metrics metrics_{"test"};
  const RequestLog log_{RequestLogOptions()};
  const CallInterceptor interceptor_{nullptr,   shutdown_, limiter_, budgets_,
                                     watchdog_, metrics_,  log_};
  std::atomic<int> waiting_ = 0;
  std::atomic<int> cancelled_ = 0;
  std::atomic<bool> is_released_ = false;
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpServerTest, AnswersOneRequestAfterTheOther) {
  Start();
  RawClient client(server_->address());
  for (int i = 0; i < 3; ++i) {
    client.Send(kGet);
    const std::string answer = client.ReadUntil("\r\n\r\n0");
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 200 OK\r\n"));
    EXPECT_THAT(answer, HasSubstr("\r\nContent-Length: 1\r\n"));
    EXPECT_THAT(answer, testing::Not(HasSubstr("Connection: close")));
  }
  // All at once.
  client.Send(absl::StrCat(kGet, kGet, kGet));
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(client.ReadUntil("\r\n\r\n0"), StartsWith("HTTP/1.1 200"));
  }
  EXPECT_EQ(server_->counts().requests, 6u);
}

TEST_F(HttpServerTest, ReadsBodiesOfAnySize) {
  Start();
  RawClient client(server_->address());
  const std::string body(1'000'000, 'x');
  client.Send(
      absl::StrCat("POST /echo HTTP/1.1\r\nHost: a\r\n"
                   "Content-Type: text/plain\r\nContent-Length: ",
                   body.size(), "\r\n\r\n", body, kGet));
  EXPECT_THAT(client.ReadUntil("1000000"), HasSubstr("\r\n\r\n1000000"));
  EXPECT_THAT(client.ReadUntil("\r\n\r\n0"), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, AsksForTheBodyThatAClientHoldsBack) {
  Start();
  RawClient client(server_->address());
  client.Send(
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n"
      "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_EQ(client.ReadUntil("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
  client.Send("ab");
  EXPECT_THAT(client.ReadUntil("\r\n\r\n2"), StartsWith("HTTP/1.1 200"));
  // A request that is refused is answered at once.
  client.Send(
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: text/html\r\n"
      "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_THAT(client.ReadAll(), StartsWith("HTTP/1.1 415"));
}

TEST_F(HttpServerTest, ClosesTheConnectionAfterBytesThatAreNoRequest) {
  Start();
  for (const absl::string_view bytes :
       {"\x16\x03\x01\x02\x00\x01\r\n\r\n", "GET / HTTP/1.1\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}) {
    RawClient client(server_->address());
    // What follows must not be taken for a request.
    client.Send(absl::StrCat(bytes, kGet));
    const std::string answer = client.ReadAll();
    EXPECT_THAT(answer,
                StartsWith(absl::StartsWith(bytes, "PRI") ? "HTTP/1.1 505"
                                                          : "HTTP/1.1 400"));
    EXPECT_THAT(answer, HasSubstr("Connection: close"));
    EXPECT_THAT(answer, testing::Not(HasSubstr("HTTP/1.1 200")));
  }
  EXPECT_EQ(server_->counts().requests, 0u);
  EXPECT_EQ(server_->counts().ended_connections, 3u);
}

TEST_F(HttpServerTest, CutsOffSlowClients) {
  options_.limits.begin_time = options_.limits.head_time = milliseconds(100);
  options_.limits.body_time = options_.limits.idle_time = milliseconds(100);
  Start();
  RawClient silent(server_->address());
  RawClient slow_head(server_->address());
  slow_head.Send("GET /echo HTTP/1.1\r\nHost:");
  RawClient slow_body(server_->address());
  slow_body.Send(
      "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n"
      "Content-Length: 1000\r\n\r\nabc");
  RawClient idle(server_->address());
  idle.Send(kGet);
  EXPECT_EQ(silent.ReadAll(), "");
  EXPECT_THAT(slow_head.ReadAll(), StartsWith("HTTP/1.1 408"));
  EXPECT_EQ(slow_body.ReadAll(), "");
  EXPECT_THAT(idle.ReadAll(), StartsWith("HTTP/1.1 200"));
}

TEST_F(HttpServerTest, ADripOfBytesOrFieldsDoesNotKeepAHeadOpen) {
  options_.limits.head_time = milliseconds(200);
  Start();
  for (const char* drop : {"x", "x: y\r\n"}) {
    RawClient client(server_->address());
    client.Send("GET /echo HTTP/1.1\r\nHost: a\r\n");
    std::atomic<bool> stop = false;
    std::thread drip([&] {
      while (!stop) {
        client.Send(drop);
        std::this_thread::sleep_for(milliseconds(40));
      }
    });
    EXPECT_THAT(client.ReadAll(), StartsWith("HTTP/1.1 408")) << drop;
    stop = true;
    drip.join();
  }
}

TEST_F(HttpServerTest, AClientThatIsGoneCancelsItsCall) {
  Start();
  RawClient client(server_->address());
  client.Send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_TRUE(Soon([&] { return waiting_ == 1; }));
  client.Close();
  EXPECT_TRUE(Soon([&] { return cancelled_ == 1; }));
  EXPECT_TRUE(
      Soon([&] { return server_->counts().connections.connections == 0; }));
}

// Even if it has sent so much in advance that nothing more is read from it.
TEST_F(HttpServerTest, AClientThatIsGoneCancelsItsCallAfterAPipeline) {
  Start();
  RawClient client(server_->address());
  std::string pipeline = "GET /wait HTTP/1.1\r\nHost: a\r\n\r\n";
  for (int i = 0; i < 2000; ++i) absl::StrAppend(&pipeline, kGet);
  client.Send(pipeline);
  EXPECT_TRUE(Soon([&] { return waiting_ == 1; }));
  client.Close();
  EXPECT_TRUE(Soon([&] { return cancelled_ == 1; }));
}

TEST_F(HttpServerTest, LimitsTheRequestsOfAConnection) {
  options_.limits.requests = 2;
  Start();
  RawClient client(server_->address());
  client.Send(absl::StrCat(kGet, kGet, kGet));
  const std::string answers = client.ReadAll();
  EXPECT_THAT(answers, HasSubstr("Connection: close"));
  EXPECT_EQ(server_->counts().requests, 2u);
}

TEST_F(HttpServerTest, LimitsTheConnectionsOfAClient) {
  options_.loops.clients.connections_per_client = 1;
  Start();
  RawClient first(server_->address());
  first.Send(kGet);
  EXPECT_THAT(first.ReadUntil("\r\n\r\n0"), StartsWith("HTTP/1.1 200"));
  RawClient second(server_->address());
  EXPECT_EQ(second.ReadAll(), "");
  EXPECT_EQ(server_->counts().connections.refused, 1u);
  first.Close();
  EXPECT_TRUE(Soon([&] {
    RawClient third(server_->address());
    third.Send(kGet);
    return !third.ReadUntil("\r\n\r\n0").empty();
  }));
}

TEST_F(HttpServerTest, ADrainEndsConnectionsAfterTheirAnswers) {
  Start();
  RawClient idle(server_->address());
  idle.Send(kGet);
  idle.ReadUntil("\r\n\r\n0");
  RawClient busy(server_->address());
  busy.Send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_TRUE(Soon([&] { return waiting_ == 1; }));
  server_->Drain();
  EXPECT_EQ(idle.ReadAll(), "");
  is_released_ = true;
  const std::string answer = busy.ReadAll();
  EXPECT_THAT(answer, HasSubstr("waited"));
  EXPECT_THAT(answer, HasSubstr("Connection: close"));
  EXPECT_TRUE(server_->WaitUntilIdle(std::chrono::steady_clock::now() + kSoon));
}

TEST_F(HttpServerTest, TheEndOfTheServerCancelsCallsAndWaitsForThem) {
  Start();
  RawClient client(server_->address());
  client.Send("GET /wait HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_TRUE(Soon([&] { return waiting_ == 1; }));
  server_.reset();
  EXPECT_EQ(cancelled_, 1);
}

}  // namespace
}  // namespace lmserve
