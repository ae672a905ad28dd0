// SPDX-License-Identifier: Apache-2.0
#include "server/connections/named_socket_pair.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "absl/cleanup/cleanup.h"
#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"

namespace lmserve {
namespace {

// Names in the abstract namespace of Unix sockets begin with a zero byte.
constexpr absl::string_view kPrefix = "lmserve.";

// gRPC escapes colons and brackets in the names that it reports.
constexpr absl::string_view kColon = "_";

struct SocketName {
  sockaddr_un address = {};
  socklen_t size = 0;

  explicit SocketName(absl::string_view name) {
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, name.data(), name.size());
    size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 +
                                  name.size());
  }

  const sockaddr* get() const {
    return reinterpret_cast<const sockaddr*>(&address);
  }
};

int MakeSocket() { return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); }

bool IsPeer(int socket, const SocketName& name) {
  sockaddr_un peer = {};
  socklen_t size = sizeof(peer);
  return getpeername(socket, reinterpret_cast<sockaddr*>(&peer), &size) == 0 &&
         size == name.size && std::memcmp(&peer, &name.address, size) == 0;
}

}  // namespace

// socketpair() makes sockets without names. Another process could connect to
// the listener in between, so only the expected peer is accepted; the names are
// random, so that it cannot take them first.
absl::StatusOr<NamedSocketPair> NamedSocketPair::Create(
    absl::string_view address) {
  thread_local absl::BitGen random;
  const auto number = [&] {
    return absl::StrCat(
        absl::Hex(absl::Uniform<uint64_t>(random), absl::kZeroPad16));
  };
  const SocketName listener_name(absl::StrCat(kPrefix, number()));
  std::string escaped(address.substr(0, 60));
  absl::StrReplaceAll({{":", kColon}, {"[", ""}, {"]", ""}}, &escaped);
  const SocketName name(absl::StrCat(kPrefix, number(), ".", escaped));

  const int listener = MakeSocket();
  if (listener < 0) return absl::ErrnoToStatus(errno, "socket");
  const absl::Cleanup close_listener = [&] { close(listener); };
  const int relay = MakeSocket();
  if (relay < 0) return absl::ErrnoToStatus(errno, "socket");
  absl::Cleanup close_relay = [&] { close(relay); };
  if (bind(listener, listener_name.get(), listener_name.size) != 0 ||
      listen(listener, 16) != 0 || bind(relay, name.get(), name.size) != 0 ||
      connect(relay, listener_name.get(), listener_name.size) != 0) {
    return absl::ErrnoToStatus(errno, "a socket inside the process");
  }
  while (true) {
    const int server =
        accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (server < 0) return absl::ErrnoToStatus(errno, "accept");
    if (IsPeer(server, name)) {
      std::move(close_relay).Cancel();
      return NamedSocketPair{relay, server};
    }
    close(server);
  }
}

std::string AddressFromPeer(absl::string_view peer) {
  absl::string_view name = peer;
  if (!absl::ConsumePrefix(&name, "unix-abstract:") ||
      !absl::ConsumePrefix(&name, kPrefix)) {
    return std::string(peer);
  }
  const size_t dot = name.find('.');
  if (dot == name.npos) return std::string(peer);
  std::string address(name.substr(dot + 1));
  absl::StrReplaceAll({{kColon, ":"}}, &address);
  absl::string_view ip = address;
  if (absl::ConsumePrefix(&ip, "ipv6:")) return absl::StrCat("ipv6:[", ip, "]");
  return address;
}

}  // namespace lmserve
