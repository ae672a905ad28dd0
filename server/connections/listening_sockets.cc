// SPDX-License-Identifier: Apache-2.0
#include "server/connections/listening_sockets.h"

#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace lmserve {
namespace {

// Returns a listening socket, or an error number as a negative number.
int Bind(const sockaddr* address, socklen_t size) {
  const int fd =
      socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -errno;
  const int yes = 1, no = 0;
  if (address->sa_family != AF_UNIX) {
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  }
  if (address->sa_family == AF_INET6) {
    // [::] also means all addresses of IPv4.
    const bool any = IN6_IS_ADDR_UNSPECIFIED(
        &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr);
    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, any ? &no : &yes, sizeof(yes));
  }
  if (bind(fd, address, size) != 0 || listen(fd, SOMAXCONN) != 0) {
    const int error = errno;
    close(fd);
    return -error;
  }
  return fd;
}

uint16_t& Port(sockaddr* address) {
  return address->sa_family == AF_INET6
             ? reinterpret_cast<sockaddr_in6*>(address)->sin6_port
             : reinterpret_cast<sockaddr_in*>(address)->sin_port;
}

// Listens on a Unix socket. Replaces one that no process listens on.
absl::StatusOr<std::vector<ListeningSocket>> BindPath(
    const std::string& path, std::optional<mode_t> mode) {
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  if (path.empty() || path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected a path of 1 to ", sizeof(address.sun_path) - 1,
                     " bytes, found ", path.size()));
  }
  std::memcpy(address.sun_path, path.data(), path.size());
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  // The socket is private until it has its mode.
  const mode_t old_mask = mode.has_value() ? umask(0177) : 0;
  const absl::Cleanup restore = [&] {
    if (mode.has_value()) umask(old_mask);
  };
  int fd = Bind(generic, sizeof(address));
  if (fd == -EADDRINUSE) {
    const int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const bool is_stale = probe >= 0 &&
                          connect(probe, generic, sizeof(address)) != 0 &&
                          errno == ECONNREFUSED;
    if (probe >= 0) close(probe);
    struct stat info;
    const bool is_socket =
        lstat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode);
    if (is_socket && is_stale && unlink(path.c_str()) == 0) {
      fd = Bind(generic, sizeof(address));
    }
  }
  if (fd < 0) return absl::UnavailableError(strerror(-fd));
  if (mode.has_value() && chmod(path.c_str(), *mode) != 0) {
    const int error = errno;
    close(fd);
    return absl::UnavailableError(
        absl::StrCat("cannot set the mode of the socket: ", strerror(error)));
  }
  return std::vector<ListeningSocket>{{fd, path}};
}

// Listens on all addresses of a host, with one port.
absl::StatusOr<std::vector<ListeningSocket>> BindHost(
    const std::string& host, const std::string& service, int* port) {
  addrinfo hints = {};
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int error = getaddrinfo(host.c_str(), service.c_str(), &hints, &list);
  if (error != 0) return absl::UnavailableError(gai_strerror(error));
  const absl::Cleanup free_list = [&] { freeaddrinfo(list); };
  std::vector<ListeningSocket> sockets;
  absl::Cleanup close_sockets = [&] {
    for (const ListeningSocket& socket : sockets) close(socket.fd);
  };
  absl::Status status = absl::UnavailableError("the host has no address");
  for (const addrinfo* entry = list; entry != nullptr; entry = entry->ai_next) {
    if (*port != 0) Port(entry->ai_addr) = htons(*port);
    const int fd = Bind(entry->ai_addr, entry->ai_addrlen);
    if (fd < 0) {
      status = absl::UnavailableError(strerror(-fd));
      // A host may have an address of a family that the system does not have.
      if (fd == -EADDRNOTAVAIL || fd == -EAFNOSUPPORT) continue;
      return status;
    }
    sockets.push_back({fd});
    sockaddr_storage bound = {};
    socklen_t size = sizeof(bound);
    getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &size);
    *port = ntohs(Port(reinterpret_cast<sockaddr*>(&bound)));
  }
  if (sockets.empty()) return status;
  std::move(close_sockets).Cancel();
  return sockets;
}

}  // namespace

absl::StatusOr<std::vector<ListeningSocket>> ListenOn(
    std::string* address, std::optional<mode_t> mode) {
  absl::string_view host = *address;
  if (absl::ConsumePrefix(&host, "unix:")) {
    absl::ConsumePrefix(&host, "//");
    return BindPath(std::string(host), mode);
  }
  const size_t colon = host.rfind(':');
  int port = -1;
  if (colon == host.npos || colon == 0 ||
      !absl::SimpleAtoi(host.substr(colon + 1), &port) || port < 0 ||
      port > 65535) {
    return absl::InvalidArgumentError("expected HOST:PORT or unix:PATH");
  }
  host = host.substr(0, colon);
  const std::string name(host);
  if (absl::ConsumePrefix(&host, "[")) absl::ConsumeSuffix(&host, "]");
  int bound = port;
  // A chosen port may be in use on another address of the host.
  absl::StatusOr<std::vector<ListeningSocket>> sockets;
  for (int attempt = 0; attempt < (port == 0 ? 16 : 1); ++attempt) {
    bound = port;
    sockets = BindHost(std::string(host), absl::StrCat(port), &bound);
    if (sockets.ok()) break;
  }
  *address = absl::StrCat(name, ":", bound);
  return sockets;
}

}  // namespace lmserve
