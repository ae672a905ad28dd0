// SPDX-License-Identifier: Apache-2.0
#include "server/connections/connection_listener.h"

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
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <future>
#include <thread>
#include <unordered_set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/connections/listening_sockets.h"
#include "server/connections/relay.h"

namespace lmserve {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Clock = Http2Guard::Clock;

constexpr std::chrono::milliseconds kTick(500);

// How long a client may acknowledge nothing, or have no room, for what is sent.
constexpr std::chrono::milliseconds kUserTimeout = std::chrono::minutes(2);

// After an accept failed because the process has too many open files.
constexpr std::chrono::milliseconds kAcceptDelay(50);

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

class ConnectionListener::Impl {
 public:
  Impl(const ListenerOptions& options, HandOver hand_over)
      : options_(options),
        hand_over_(std::move(hand_over)),
        clients_(options.clients),
        context_{options_.http2, options_.handshake_time, hand_over_,
                 refused_streams_, ended_connections_} {}

  // Only std::bad_alloc could be thrown.
  ~Impl() {  // NOLINT(bugprone-exception-escape)
    for (const auto& loop : loops_) {
      asio::post(loop->context, [&loop] {
        loop->is_ending = true;
        loop->acceptors.clear();
        loop->timer.cancel();
        while (!loop->relays.empty()) {
          const std::shared_ptr<Relay> relay = *loop->relays.begin();
          relay->Close();
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
            .refused_connections = refused_connections_,
            .refused_streams = refused_streams_,
            .ended_connections = ended_connections_};
  }

  void RefuseStreams() {
    ForEachLoop([](Loop& loop) {
      loop.acceptors.clear();
      loop.refuses_streams = true;
      for (const auto& relay : loop.relays) relay->RefuseStreams();
      return true;
    });
  }

  bool IsIdle() {
    return ForEachLoop([](Loop& loop) {
      return std::all_of(loop.relays.begin(), loop.relays.end(),
                         [](const auto& relay) { return relay->is_idle(); });
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
    asio::io_context context{1};
    asio::executor_work_guard<asio::io_context::executor_type> work{
        context.get_executor()};
    asio::steady_timer timer{context};
    std::vector<Acceptor> acceptors;
    std::unordered_set<std::shared_ptr<Relay>> relays;
    bool refuses_streams = false;
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
    acceptor.async_accept(loop.context,
                          [this, &acceptor, &loop](const error_code& error,
                                                   Relay::Socket socket) {
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

  void Open(Loop& loop, Relay::Socket socket) {
    is_short_of_files_ = false;
    error_code error;
    const auto peer = socket.remote_endpoint(error);
    if (error) return;
    const std::string address = ClientAddress(peer);
    ClientTable::Ticket ticket = clients_.Enter(ClientKey(peer));
    if (!ticket) {
      ++refused_connections_;
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
    // The relay closes itself on the thread of its loop.
    auto open = [this, &loop, address, socket = std::move(socket),
                 ticket = std::move(ticket)]() mutable {
      if (loop.is_ending) return;
      auto self = std::make_shared<std::weak_ptr<Relay>>();
      const std::shared_ptr<Relay> relay =
          Relay::Create(context_, std::move(socket), address, std::move(ticket),
                        options_.tls == nullptr ? nullptr : options_.tls->Get(),
                        [&loop, self] { loop.relays.erase(self->lock()); });
      *self = relay;
      loop.relays.insert(relay);
      relay->Start();
      if (loop.refuses_streams) relay->RefuseStreams();
    };
    asio::dispatch(loop.context, std::move(open));
  }

  void Tick(Loop& loop) {
    loop.timer.expires_after(kTick);
    loop.timer.async_wait([this, &loop](const error_code& error) {
      // A timer that has expired can no longer be cancelled.
      if (error || loop.is_ending) return;
      const auto now = Clock::now();
      // CheckTimes() may close a relay.
      const std::vector<std::shared_ptr<Relay>> relays(loop.relays.begin(),
                                                       loop.relays.end());
      for (const auto& relay : relays) relay->CheckTimes(now);
      Tick(loop);
    });
  }

  const ListenerOptions options_;
  const HandOver hand_over_;
  ClientTable clients_;
  std::atomic<uint64_t> accepted_ = 0;
  std::atomic<uint64_t> refused_connections_ = 0;
  std::atomic<uint64_t> refused_streams_ = 0;
  std::atomic<uint64_t> ended_connections_ = 0;
  const RelayContext context_;
  // Only the thread of the first loop uses these.
  size_t next_loop_ = 0;
  bool is_short_of_files_ = false;
  std::string address_;
  std::deque<SocketFile> socket_files_;
  std::vector<std::unique_ptr<Loop>> loops_;
};

ConnectionListener::ConnectionListener(std::unique_ptr<Impl> impl)
    : impl_(std::move(impl)) {}

ConnectionListener::~ConnectionListener() = default;

absl::StatusOr<std::unique_ptr<ConnectionListener>> ConnectionListener::Start(
    const std::string& address, const ListenerOptions& options,
    HandOver hand_over) {
  auto impl = std::make_unique<Impl>(options, std::move(hand_over));
  absl::Status status = impl->Start(address);
  if (!status.ok()) return status;
  return std::unique_ptr<ConnectionListener>(
      new ConnectionListener(std::move(impl)));
}

const std::string& ConnectionListener::address() const {
  return impl_->address();
}

ConnectionListener::Counts ConnectionListener::counts() const {
  return impl_->counts();
}

void ConnectionListener::WaitUntilClosed(
    std::chrono::steady_clock::time_point end) const {
  while (counts().connections > 0 && std::chrono::steady_clock::now() < end) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

void ConnectionListener::RefuseStreams() { impl_->RefuseStreams(); }

bool ConnectionListener::WaitUntilIdle(
    std::chrono::steady_clock::time_point end) const {
  while (!impl_->IsIdle()) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

}  // namespace lmserve
