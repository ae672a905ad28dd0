// SPDX-License-Identifier: Apache-2.0
#include "server/connections/connection_listener.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "model_store/mutex.h"
#include "tests/testing/sanitizers.h"
#include "tests/testing/temporary_directory.h"

namespace lmserve {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const std::string kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
// An empty frame of settings.
const std::string kSettings("\0\0\0\4\0\0\0\0\0", 9);

// A socket that is closed at the end.
class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  ~Socket() { Close(); }
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;

  void Close() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }
  bool Write(const std::string& bytes) {
    return write(fd_, bytes.data(), bytes.size()) ==
           static_cast<ssize_t>(bytes.size());
  }
  // Returns `size` bytes, or what came before the end or in two seconds.
  std::string Read(size_t size) {
    std::string bytes;
    while (bytes.size() < size && WaitForBytes(seconds(2))) {
      char part[4096];
      const ssize_t got =
          read(fd_, part, std::min(sizeof(part), size - bytes.size()));
      if (got <= 0) break;
      bytes.append(part, got);
    }
    return bytes;
  }
  // Whether the other end was closed within five seconds.
  bool IsClosed() {
    char byte;
    return WaitForBytes(seconds(5)) && read(fd_, &byte, 1) <= 0;
  }
  // Whether `size` bytes wait to be read within five seconds.
  bool Holds(int size) const {
    const auto end = std::chrono::steady_clock::now() + seconds(5);
    int bytes = 0;
    while (ioctl(fd_, FIONREAD, &bytes) == 0 && bytes < size) {
      if (std::chrono::steady_clock::now() > end) return false;
      std::this_thread::sleep_for(milliseconds(1));
    }
    return true;
  }
  bool WaitForBytes(milliseconds time) {
    pollfd poll = {fd_, POLLIN, 0};
    return ::poll(&poll, 1, static_cast<int>(time.count())) > 0;
  }

 private:
  int fd_;
};

class ConnectionListenerTest : public testing::Test {
 protected:
  void Start(const std::string& address = "127.0.0.1:0") {
    auto listener =
        ConnectionListener::Start(address, options_, [this](int fd) {
          const MutexLock lock(mutex_);
          handed_over_.push_back(std::make_unique<Socket>(fd));
          condition_.NotifyAll();
        });
    ASSERT_TRUE(listener.ok()) << listener.status();
    listener_ = *std::move(listener);
  }

  // `from` is the last byte of the address of the client.
  std::unique_ptr<Socket> Connect(uint8_t from = 1) const {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK - 1 + from);
    EXPECT_EQ(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)),
              0);
    ConnectSocket(fd);
    return std::make_unique<Socket>(fd);
  }
  void ConnectSocket(int fd) const {
    const std::string& address = listener_->address();
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_port = htons(std::atoi(address.c_str() + address.rfind(':') + 1));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to)), 0);
  }

  // A connection on which both sides have sent their settings.
  struct Connection {
    std::unique_ptr<Socket> client;
    std::unique_ptr<Socket> server;
  };
  Connection Begin() {
    Connection connection = {Connect(), nullptr};
    connection.client->Write(kPreface + kSettings);
    connection.server = Next();
    if (connection.server == nullptr) return connection;
    connection.server->Write(kSettings);
    EXPECT_EQ(connection.client->Read(9), kSettings);
    return connection;
  }

  // Returns the server's end of the next connection, or null if none comes.
  std::unique_ptr<Socket> Next(milliseconds time = seconds(5)) {
    const MutexLock lock(mutex_);
    const auto end = std::chrono::steady_clock::now() + time;
    while (handed_over_.empty()) {
      if (!condition_.WaitUntil(mutex_, end) && handed_over_.empty()) {
        return nullptr;
      }
    }
    std::unique_ptr<Socket> next = std::move(handed_over_.front());
    handed_over_.pop_front();
    return next;
  }

  ListenerOptions options_;
  Mutex mutex_;
  ConditionVariable condition_;
  std::deque<std::unique_ptr<Socket>> handed_over_;
  std::unique_ptr<ConnectionListener> listener_;
};

TEST_F(ConnectionListenerTest, RelaysBothWays) {
  Start();
  const auto client = Connect();
  client->Write(kPreface + kSettings);
  const auto server = Next();
  ASSERT_NE(server, nullptr);
  EXPECT_EQ(server->Read(kPreface.size() + 9), kPreface + kSettings);
  server->Write(kSettings);
  EXPECT_EQ(client->Read(9), kSettings);
  EXPECT_EQ(listener_->counts().connections, 1u);
}

TEST_F(ConnectionListenerTest, TheServerSpeaksFirst) {
  Start();
  const auto client = Connect();
  const auto server = Next();
  ASSERT_NE(server, nullptr);
  server->Write(kSettings);
  EXPECT_EQ(client->Read(9), kSettings);
}

TEST_F(ConnectionListenerTest, TheServerSeesNothingOfSilentClients) {
  options_.handshake_time = seconds(1);
  Start();
  const auto client = Connect();
  client->Write(kPreface.substr(0, 10));
  const auto server = Next();
  ASSERT_NE(server, nullptr);
  EXPECT_FALSE(server->WaitForBytes(milliseconds(200)));
  EXPECT_TRUE(client->IsClosed());
  EXPECT_TRUE(server->IsClosed());
  EXPECT_EQ(listener_->counts().ended_connections, 1u);
}

TEST_F(ConnectionListenerTest, TheEndOfOneSideEndsTheOther) {
  Start();
  for (bool client_first : {true, false}) {
    auto client = Connect();
    client->Write(kPreface);
    const auto server = Next();
    ASSERT_NE(server, nullptr);
    EXPECT_EQ(server->Read(kPreface.size()), kPreface);
    server->Write(kSettings);
    if (client_first) {
      client->Close();
      EXPECT_TRUE(server->IsClosed());
    } else {
      server->Close();
      EXPECT_EQ(client->Read(10), kSettings);
    }
  }
}

TEST_F(ConnectionListenerTest, LimitsConnections) {
  options_.clients.connections_per_client = 2;
  Start();
  auto first = Connect();
  first->Write(kPreface);
  ASSERT_NE(Next(), nullptr);
  const auto second = Connect();
  second->Write(kPreface);
  ASSERT_NE(Next(), nullptr);
  EXPECT_TRUE(Connect()->IsClosed());
  EXPECT_EQ(listener_->counts().refused_connections, 1u);
}

TEST_F(ConnectionListenerTest, EndsAConnectionThatBreaksTheRules) {
  Start();
  const auto [client, server] = Begin();
  ASSERT_NE(server, nullptr);
  client->Write(std::string("\0\0\0\5\0\0\0\0\1", 9));  // PUSH_PROMISE
  const std::string end = client->Read(1000);
  EXPECT_EQ(end.substr(3, 1), "\7") << "GOAWAY";
  EXPECT_NE(end.find("clients must not push"), std::string::npos);
  EXPECT_EQ(server->Read(1000), kPreface + kSettings);  // and its end
}

TEST_F(ConnectionListenerTest, AcceptsAgainWhenFilesAreFree) {
  if (IsSanitized()) {
    GTEST_SKIP() << "without free files UndefinedBehaviorSanitizer takes all "
                    "objects for invalid";
  }
  Start();
  rlimit before;
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  // The client's end exists before the process runs out of files.
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  Socket client(fd);
  std::vector<std::unique_ptr<Socket>> files;
  const rlimit few = {64, before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  for (int file; (file = open("/dev/null", O_RDONLY)) >= 0;) {
    files.push_back(std::make_unique<Socket>(file));
  }
  ConnectSocket(fd);
  client.Write(kPreface);
  EXPECT_EQ(Next(milliseconds(200)), nullptr);
  files.clear();
  EXPECT_NE(Next(), nullptr);
  setrlimit(RLIMIT_NOFILE, &before);
}

TEST_F(ConnectionListenerTest, RefusesStreamsAndListensNoMore) {
  Start();
  const auto [client, server] = Begin();
  ASSERT_NE(server, nullptr);
  listener_->RefuseStreams();
  EXPECT_EQ(client->Read(17).substr(3, 1), "\7") << "GOAWAY";
  EXPECT_TRUE(
      listener_->WaitUntilIdle(std::chrono::steady_clock::now() + seconds(5)));
}

// A connection of a client on which much was sent, and the server's end of it,
// which has read what comes before.
class WriteTurnsOfAListenerTest : public ConnectionListenerTest {
 protected:
  // A frame of an unknown type, which is passed on.
  static std::string LongFrame() {
    std::string frame("\0\x30\0\xfe\0\0\0\0\0", 9);
    return frame.append(0x3000, 'x');
  }

  // Starts a listener with one turn per client. Turns are only needed while
  // another client is connected.
  void StartWithAnotherClient() {
    options_.clients.write_turns_per_client = 1;
    Start();
    other_client_ = Connect(2);
    other_server_ = Next();
    ASSERT_NE(other_server_, nullptr);
  }

  Connection BeginAndRead() {
    Connection connection = Begin();
    if (connection.server != nullptr) {
      connection.server->Read(kPreface.size() + kSettings.size());
    }
    return connection;
  }

  static constexpr milliseconds kShort{200};
  // So much of a long frame that the turn lasts until it is read. The rest is
  // not read from the client before.
  static constexpr int kUnread = 12 << 10;

 private:
  std::unique_ptr<Socket> other_client_, other_server_;
};

// What one connection has sent, and the server has not read, holds up the long
// messages of other connections of the client, but not their short ones.
TEST_F(WriteTurnsOfAListenerTest, OneConnectionOfAClientAfterTheOther) {
  StartWithAnotherClient();
  const auto [first, first_server] = BeginAndRead();
  const auto [second, second_server] = BeginAndRead();
  const auto [third, third_server] = BeginAndRead();
  ASSERT_NE(third_server, nullptr);
  first->Write(LongFrame());
  ASSERT_TRUE(first_server->Holds(kUnread));
  second->Write(LongFrame());
  third->Write(kSettings);
  EXPECT_EQ(third_server->Read(kSettings.size()), kSettings);
  EXPECT_FALSE(second_server->WaitForBytes(kShort));
  EXPECT_EQ(first_server->Read(LongFrame().size()), LongFrame());
  EXPECT_EQ(second_server->Read(LongFrame().size()), LongFrame());
}

TEST_F(WriteTurnsOfAListenerTest, TheOnlyClientNeedsNone) {
  options_.clients.write_turns_per_client = 1;
  Start();
  const auto [first, first_server] = BeginAndRead();
  const auto [second, second_server] = BeginAndRead();
  ASSERT_NE(second_server, nullptr);
  first->Write(LongFrame());
  ASSERT_TRUE(first_server->Holds(kUnread));
  second->Write(LongFrame());
  EXPECT_EQ(second_server->Read(LongFrame().size()), LongFrame());
}

TEST_F(WriteTurnsOfAListenerTest, AConnectionThatIsNeverReadLosesItsTurn) {
  StartWithAnotherClient();
  const auto [first, first_server] = BeginAndRead();
  const auto [second, second_server] = BeginAndRead();
  ASSERT_NE(second_server, nullptr);
  first->Write(LongFrame());
  ASSERT_TRUE(first_server->Holds(kUnread));
  second->Write(LongFrame());
  EXPECT_TRUE(second_server->WaitForBytes(seconds(5)));
  EXPECT_EQ(second_server->Read(LongFrame().size()), LongFrame());
  EXPECT_EQ(first_server->Read(LongFrame().size()), LongFrame());
}

TEST_F(WriteTurnsOfAListenerTest, AConnectionThatEndsGivesItsTurnAway) {
  StartWithAnotherClient();
  auto [first, first_server] = BeginAndRead();
  auto [second, second_server] = BeginAndRead();
  const auto [third, third_server] = BeginAndRead();
  ASSERT_NE(third_server, nullptr);
  first->Write(LongFrame());
  ASSERT_TRUE(first_server->Holds(kUnread));
  second->Write(LongFrame());  // waits for a turn
  EXPECT_FALSE(second_server->WaitForBytes(kShort));
  third->Write(LongFrame());
  second->Close();
  first->Close();
  EXPECT_EQ(third_server->Read(LongFrame().size()), LongFrame());
}

// The end of a listener comes while its thread is busy and its clock has
// expired: the clock must not start again, or the thread never ends.
TEST_F(ConnectionListenerTest, EndsAtTheTickOfItsClock) {
  std::promise<void> is_busy;
  auto listener =
      ConnectionListener::Start("127.0.0.1:0", options_, [&is_busy](int fd) {
        close(fd);
        is_busy.set_value();
        std::this_thread::sleep_for(
            seconds(1));  // longer than the clock's tick
      });
  ASSERT_TRUE(listener.ok()) << listener.status();
  listener_ = *std::move(listener);
  const auto client = Connect();
  is_busy.get_future().wait();
  const auto end = std::async(std::launch::async, [this] { listener_ = {}; });
  ASSERT_EQ(end.wait_for(seconds(30)), std::future_status::ready);
}

TEST_F(ConnectionListenerTest, ReplacesNoFileBySocket) {
  const TemporaryDirectory directory;
  const std::string path = directory.File("precious");
  std::ofstream(path) << "data";
  const auto listener =
      ConnectionListener::Start("unix:" + path, options_, [](int) {});
  EXPECT_FALSE(listener.ok());
  EXPECT_EQ(std::filesystem::file_size(path), 4u);
}

// As when a server is started while the one before drains.
TEST_F(ConnectionListenerTest, RemovesOnlyItsOwnSocket) {
  const TemporaryDirectory directory;
  const std::string path = directory.File("socket");
  Start("unix:" + path);
  listener_->RefuseStreams();  // listens no more
  const auto next =
      ConnectionListener::Start("unix:" + path, options_, [](int) {});
  ASSERT_TRUE(next.ok()) << next.status();
  listener_ = nullptr;
  EXPECT_TRUE(std::filesystem::is_socket(path));
}

TEST_F(ConnectionListenerTest, SetsTheModeOfASocket) {
  const TemporaryDirectory directory;
  const std::string path = directory.File("socket");
  options_.socket_mode = 0620;
  Start("unix:" + path);
  struct stat info;
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0620u);
  listener_ = nullptr;
  EXPECT_NE(stat(path.c_str(), &info), 0);
}

TEST_F(ConnectionListenerTest, ListensOnEveryKindOfAddress) {
  for (const char* address :
       {"localhost:0", "[::1]:0", "[::]:0", "0.0.0.0:0"}) {
    Start(address);
    EXPECT_NE(listener_->address().substr(listener_->address().rfind(':')),
              ":0");
  }
}

}  // namespace
}  // namespace lmserve
