// SPDX-License-Identifier: Apache-2.0
#include "server/connections/connection_loops.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <spdlog/spdlog.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <future>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/connections/listening_sockets.h"

namespace lmserve {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::milliseconds kTick(500);

// How long a client may acknowledge nothing, or have no room, for what is sent.
constexpr std::chrono::milliseconds kUserTimeout = std::chrono::minutes(2);

// After an accept failed because the process has too many open files.
constexpr std::chrono::milliseconds kAcceptDelay(50);

// How often a thread that waits for connections looks at them.
constexpr std::chrono::milliseconds kPoll(2);

// The address of a client in the form of gRPC's peers, without the port:
// "ipv4:1.2.3.4", "ipv6:[::1]" or "unix".
std::string ClientAddress(
    const asio::generic::stream_protocol::endpoint& peer) {
  char text[INET6_ADDRSTRLEN] = "";
  const auto* address = reinterpret_cast<const sockaddr*>(peer.data());
  if (address->sa_family == AF_INET) {
    inet_ntop(AF_INET, &reinterpret_cast<const sockaddr_in*>(address)->sin_addr,
              text, sizeof(text));
    return absl::StrCat("ipv4:", text);
  }
  if (address->sa_family == AF_INET6) {
    const in6_addr& ip =
        reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&ip)) {
      inet_ntop(AF_INET, &ip.s6_addr[12], text, sizeof(text));
      return absl::StrCat("ipv4:", text);
    }
    inet_ntop(AF_INET6, &ip, text, sizeof(text));
    return absl::StrCat("ipv6:[", text, "]");
  }
  return "unix";
}

// The part of an address that counts as one client. A host of IPv6 has at least
// the addresses of 64 bits.
std::string ClientKey(const asio::generic::stream_protocol::endpoint& peer) {
  const auto* address = reinterpret_cast<const sockaddr*>(peer.data());
  if (address->sa_family != AF_INET6) return ClientAddress(peer);
  const in6_addr& ip =
      reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
  if (IN6_IS_ADDR_V4MAPPED(&ip)) return ClientAddress(peer);
  return absl::StrCat(
      "ipv6/64:",
      absl::string_view(reinterpret_cast<const char*>(ip.s6_addr), 8));
}

}  // namespace

class ConnectionLoops::Impl {
 public:
  Impl(const LoopOptions& options, MakeConnection make_connection)
      : options_(options),
        make_connection_(std::move(make_connection)),
        clients_(options.clients) {}

  // Only std::bad_alloc could be thrown.
  ~Impl() {  // NOLINT(bugprone-exception-escape)
    for (const auto& loop : loops_) {
      asio::post(loop->context, [&loop] {
        loop->is_ending = true;
        loop->acceptors.clear();
        loop->timer.cancel();
        while (!loop->connections.empty()) {
          const std::shared_ptr<LoopConnection> connection =
              *loop->connections.begin();
          connection->Close();
        }
        loop->work.reset();
      });
    }
    for (const auto& loop : loops_) {
      if (loop->thread.joinable()) loop->thread.join();
    }
  }

  absl::Status Start(const std::string& address) {
    address_ = address;
    const auto sockets = ListenOn(&address_, options_.socket_mode);
    if (!sockets.ok()) {
      return absl::UnavailableError(absl::StrCat(
          "cannot listen on ", address, ": ", sockets.status().message()));
    }
    for (int i = 0; i < std::max(1, options_.threads); ++i) {
      loops_.push_back(std::make_unique<Loop>());
    }
    for (const ListeningSocket& socket : *sockets) {
      if (!socket.path.empty()) socket_files_.emplace_back(socket.path);
      sockaddr_storage bound = {};
      socklen_t size = sizeof(bound);
      getsockname(socket.fd, reinterpret_cast<sockaddr*>(&bound), &size);
      Acceptor acceptor(loops_[0]->context);
      acceptor.assign({bound.ss_family, 0}, socket.fd);
      loops_[0]->acceptors.push_back(std::move(acceptor));
    }
    for (Acceptor& acceptor : loops_[0]->acceptors) Accept(acceptor);
    for (const auto& loop : loops_) {
      Tick(*loop);
      loop->thread = std::thread([&loop] { loop->context.run(); });
    }
    return absl::OkStatus();
  }

  const std::string& address() const { return address_; }

  Counts counts() const {
    return {.connections = clients_.connections(),
            .accepted = accepted_,
            .refused = refused_};
  }

  void Drain() {
    ForEachLoop([](Loop& loop) {
      loop.acceptors.clear();
      loop.is_draining = true;
      // Drain() may close a connection.
      for (const auto& connection : loop.Connections()) connection->Drain();
      return true;
    });
  }

  bool IsIdle() {
    return ForEachLoop([](Loop& loop) {
      return std::all_of(
          loop.connections.begin(), loop.connections.end(),
          [](const auto& connection) { return connection->is_idle(); });
    });
  }

 private:
  using Acceptor = asio::basic_socket_acceptor<asio::generic::stream_protocol>;

  // A Unix socket in the file system. Removes it at the end, unless another
  // server has replaced it meanwhile.
  class SocketFile {
   public:
    // Keeps the file open, so that no other one gets its number.
    explicit SocketFile(std::string path)
        : path_(std::move(path)),
          file_(open(path_.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC)) {}
    ~SocketFile() {
      struct stat own, current;
      if (fstat(file_, &own) == 0 && lstat(path_.c_str(), &current) == 0 &&
          own.st_dev == current.st_dev && own.st_ino == current.st_ino) {
        unlink(path_.c_str());
      }
      if (file_ >= 0) close(file_);
    }
    SocketFile(const SocketFile&) = delete;
    SocketFile& operator=(const SocketFile&) = delete;

   private:
    const std::string path_;
    const int file_;
  };

  // A thread and the connections that it works on.
  struct Loop {
    // A copy, for functions that may close connections.
    std::vector<std::shared_ptr<LoopConnection>> Connections() const {
      return {connections.begin(), connections.end()};
    }

    asio::io_context context{1};
    asio::executor_work_guard<asio::io_context::executor_type> work{
        context.get_executor()};
    asio::steady_timer timer{context};
    std::vector<Acceptor> acceptors;
    std::unordered_set<std::shared_ptr<LoopConnection>> connections;
    bool is_draining = false;
    bool is_ending = false;  // nothing may be started that the thread waits for
    std::thread thread;
  };

  // Calls `function` on the thread of each loop, and returns whether all
  // results are true.
  template <typename Function>
  bool ForEachLoop(Function function) {
    bool all = true;
    for (const auto& loop : loops_) {
      std::promise<bool> result;
      asio::post(loop->context, [&] { result.set_value(function(*loop)); });
      all = result.get_future().get() && all;
    }
    return all;
  }

  void Accept(Acceptor& acceptor) {
    Loop& loop = *loops_[next_loop_++ % loops_.size()];
    acceptor.async_accept(
        loop.context,
        [this, &acceptor, &loop](const error_code& error, Socket socket) {
          // A drain closes the acceptor.
          if (loops_[0]->acceptors.empty()) return;
          if (error) return AcceptLater(acceptor, error);
          ++accepted_;
          Open(loop, std::move(socket));
          Accept(acceptor);
        });
  }

  // Without free file descriptors, waits until some connections are closed.
  void AcceptLater(Acceptor& acceptor, const error_code& error) {
    if (!std::exchange(is_short_of_files_, true)) {
      spdlog::warn("cannot accept connections for now: {}", error.message());
    }
    auto timer =
        std::make_shared<asio::steady_timer>(loops_[0]->context, kAcceptDelay);
    timer->async_wait([this, &acceptor, timer](const error_code&) {
      if (!loops_[0]->acceptors.empty()) Accept(acceptor);
    });
  }

  void Open(Loop& loop, Socket socket) {
    is_short_of_files_ = false;
    error_code error;
    const auto peer = socket.remote_endpoint(error);
    if (error) return;
    const std::string address = ClientAddress(peer);
    ClientTable::Ticket ticket = clients_.Enter(ClientKey(peer));
    if (!ticket) {
      ++refused_;
      return;  // closes the socket
    }
    if (address != "unix") {
      const int yes = 1;
      setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_NODELAY, &yes,
                 sizeof(yes));
      // Closes connections whose client is gone or never reads again.
      const unsigned timeout = kUserTimeout.count();
      setsockopt(socket.native_handle(), IPPROTO_TCP, TCP_USER_TIMEOUT,
                 &timeout, sizeof(timeout));
    }
    // The connection closes itself on the thread of its loop.
    auto open = [this, &loop, address, socket = std::move(socket),
                 ticket = std::move(ticket)]() mutable {
      if (loop.is_ending) return;
      auto self = std::make_shared<std::weak_ptr<LoopConnection>>();
      const std::shared_ptr<LoopConnection> connection = make_connection_(
          {std::move(socket), address, std::move(ticket),
           [&loop, self] { loop.connections.erase(self->lock()); }});
      *self = connection;
      loop.connections.insert(connection);
      connection->Start();
      if (loop.is_draining) connection->Drain();
    };
    asio::dispatch(loop.context, std::move(open));
  }

  void Tick(Loop& loop) {
    loop.timer.expires_after(kTick);
    loop.timer.async_wait([this, &loop](const error_code& error) {
      // A timer that has expired can no longer be cancelled.
      if (error || loop.is_ending) return;
      const auto now = Clock::now();
      for (const auto& connection : loop.Connections()) {
        connection->CheckTimes(now);
      }
      Tick(loop);
    });
  }

  const LoopOptions options_;
  const MakeConnection make_connection_;
  ClientTable clients_;
  std::atomic<uint64_t> accepted_ = 0;
  std::atomic<uint64_t> refused_ = 0;
  // Only the thread of the first loop uses these.
  size_t next_loop_ = 0;
  bool is_short_of_files_ = false;
  std::string address_;
  std::deque<SocketFile> socket_files_;
  std::vector<std::unique_ptr<Loop>> loops_;
};

ConnectionLoops::ConnectionLoops(const LoopOptions& options,
                                 MakeConnection make_connection)
    : impl_(std::make_unique<Impl>(options, std::move(make_connection))) {}

ConnectionLoops::~ConnectionLoops() = default;

absl::Status ConnectionLoops::Start(const std::string& address) {
  return impl_->Start(address);
}

const std::string& ConnectionLoops::address() const { return impl_->address(); }

ConnectionLoops::Counts ConnectionLoops::counts() const {
  return impl_->counts();
}

void ConnectionLoops::Drain() { impl_->Drain(); }

bool ConnectionLoops::WaitUntilIdle(std::chrono::steady_clock::time_point end) {
  while (!impl_->IsIdle()) {
    if (Clock::now() >= end) return false;
    std::this_thread::sleep_for(kPoll);
  }
  return true;
}

void ConnectionLoops::WaitUntilClosed(
    std::chrono::steady_clock::time_point end) const {
  while (counts().connections > 0 && Clock::now() < end) {
    std::this_thread::sleep_for(kPoll);
  }
}

}  // namespace lmserve
