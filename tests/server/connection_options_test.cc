// SPDX-License-Identifier: Apache-2.0
//
// Tests how long connections last, on which addresses the server listens, and
// when health reports it as SERVING.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <string>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "gtest/gtest.h"
#include "model_store/publish.h"
#include "tests/server/server_with_options.h"
#include "tests/testing/ngram_models.h"

namespace lmserve {
namespace {

using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;
using std::chrono::milliseconds;
using testing::StartsWith;

// An HTTP/2 client that sends only pings.
class Pinger {
 public:
  explicit Pinger(int port) : socket_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<in_port_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(socket_, reinterpret_cast<sockaddr*>(&address),
                      sizeof(address)),
              0);
    Send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    Send(std::string("\0\0\0\4\0\0\0\0\0", 9));  // SETTINGS
  }
  ~Pinger() { close(socket_); }
  Pinger(const Pinger&) = delete;
  Pinger& operator=(const Pinger&) = delete;

  void Ping() { Send(std::string("\0\0\x08\6\0\0\0\0\0", 9) + "12345678"); }

  // Whether the server has closed the connection.
  bool IsClosed() {
    (void)WasToldToGo("");
    return closed_;
  }

  // Whether the server has sent a GOAWAY with this text.
  bool WasToldToGo(const std::string& why) {
    pollfd ready = {socket_, POLLIN, 0};
    char block[4096];
    while (poll(&ready, 1, 0) > 0) {
      const ssize_t size = read(socket_, block, sizeof(block));
      if (size <= 0) {
        closed_ = true;
        break;
      }
      received_.append(block, size);
    }
    return received_.find(why) != std::string::npos;
  }

 private:
  void Send(const std::string& bytes) {
    EXPECT_EQ(send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }

  const int socket_;
  std::string received_;
  bool closed_ = false;
};

class ConnectionOptionsTest : public ServerWithOptions {
 protected:
  int Port() const {
    int port = 0;
    const std::string& address = server_->address();
    EXPECT_TRUE(
        absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port));
    return port;
  }

  std::string Health(const std::string& service) {
    HealthCheckRequest request;
    request.set_service(service);
    HealthCheckResponse response;
    grpc::ClientContext context;
    const grpc::Status status =
        grpc::health::v1::Health::NewStub(channel_)->Check(&context, request,
                                                           &response);
    if (!status.ok()) return status.error_message();
    return HealthCheckResponse::ServingStatus_Name(response.status());
  }

  void WaitForHealth(const std::string& wanted) {
    while (Health("") != wanted) std::this_thread::sleep_for(milliseconds(5));
  }
};

TEST_F(ConnectionOptionsTest, AClientWithoutCallsMaySendKeepalivePings) {
  options_.listen = "127.0.0.1:0";
  options_.connections.min_ping_interval = milliseconds(50);
  StartServer();
  Pinger pinger(Port());
  for (int i = 0; i < 6; ++i) {
    std::this_thread::sleep_for(milliseconds(100));
    pinger.Ping();
  }
  std::this_thread::sleep_for(milliseconds(100));
  EXPECT_FALSE(pinger.WasToldToGo("too_many_pings"));
  // More of them are still a flood.
  for (int i = 0; i < 50 && !pinger.WasToldToGo("too_many_pings"); ++i) {
    pinger.Ping();
    std::this_thread::sleep_for(milliseconds(10));
  }
  EXPECT_TRUE(pinger.WasToldToGo("too_many_pings"));
}

TEST_F(ConnectionOptionsTest, ByDefaultConnectionsHaveNoAge) {
  EXPECT_EQ(options_.connections.max_age.count(), 0);
}

TEST_F(ConnectionOptionsTest, AnOldConnectionIsClosedAndItsCallsAreCutOff) {
  options_.connections.max_age = milliseconds(200);
  options_.connections.age_grace = milliseconds(200);
  StartServer();
  RawCall stream(channel_, "/lm.v1.LanguageModelService/ScoreStream");
  EXPECT_FALSE(stream.Read().has_value());
  EXPECT_FALSE(stream.Finish().ok());
}

TEST_F(ConnectionOptionsTest, WithoutGraceLimitCallsOutliveTheAge) {
  options_.connections.max_age = milliseconds(100);
  options_.connections.age_grace = milliseconds(0);
  StartServer();
  RawCall stream(channel_, "/lm.v1.LanguageModelService/ScoreStream");
  std::this_thread::sleep_for(milliseconds(600));
  ASSERT_TRUE(stream.WritesDone());
  EXPECT_FALSE(stream.Read().has_value());
  EXPECT_TRUE(stream.Finish().ok());
}

TEST_F(ConnectionOptionsTest, AnIdleConnectionIsClosed) {
  options_.listen = "127.0.0.1:0";
  options_.connections.max_idle = milliseconds(100);
  StartServer();
  Pinger idle(Port());
  while (!idle.IsClosed()) {
    std::this_thread::sleep_for(milliseconds(5));
  }
}

TEST_F(ConnectionOptionsTest, EveryListenerTakesIpv6) {
  options_.listen = "[::1]:0";
  options_.admin_listen = "[::]:0";
  options_.metrics_listen = "[::1]:0";
  StartServer();
  EXPECT_THAT(server_->address(), StartsWith("[::1]:"));
  EXPECT_THAT(server_->admin_address(), StartsWith("[::]:"));
  EXPECT_EQ(Health("lm.v1.ModelService"), "SERVING");
  const int metrics = socket(AF_INET6, SOCK_STREAM, 0);
  sockaddr_in6 address = {};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(static_cast<in_port_t>(server_->metrics_port()));
  address.sin6_addr = in6addr_loopback;
  EXPECT_EQ(
      connect(metrics, reinterpret_cast<sockaddr*>(&address), sizeof(address)),
      0);
  close(metrics);
}

TEST_F(ConnectionOptionsTest, UnixSocketsGetTheirMode) {
  const TemporaryDirectory directory;
  options_.listen = absl::StrCat("unix:", directory.File("socket"));
  options_.listener.socket_mode = 0660;
  StartServer();
  struct stat status;
  ASSERT_EQ(stat(directory.File("socket").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0660u);
  EXPECT_EQ(Health("lm.v1.ModelService"), "SERVING");
}

TEST_F(ConnectionOptionsTest, WithoutModelsTheServerIsNotServing) {
  const TemporaryDirectory empty;
  StoreOptions store;
  store.poll = milliseconds(5);
  server_ =
      Server::Start(options_, ModelStore::Open(empty.path(), store).value())
          .value();
  channel_ = Connect(server_->address());
  EXPECT_EQ(Health(""), "NOT_SERVING");
  EXPECT_EQ(Health("lm.v1.LanguageModelService"), "SERVING");
  PublishTinyModel(empty.path(), "en");
  WaitForHealth("SERVING");
}

TEST_F(ConnectionOptionsTest, TheServerWaitsForItsRequiredModels) {
  StoreOptions store;
  store.poll = milliseconds(5);
  options_.required_models = {"tiny@stable", "late"};
  server_ = Server::Start(options_, files_.Open(store)).value();
  channel_ = Connect(server_->address());
  EXPECT_EQ(Health("tiny"), "SERVING");
  EXPECT_EQ(Health(""), "NOT_SERVING");
  PublishTinyModel(files_.path(), "late");
  WaitForHealth("SERVING");
}

}  // namespace
}  // namespace lmserve
