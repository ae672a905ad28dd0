// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_CONNECTIONS_LISTENING_SOCKETS_H_
#define LMSERVE_SERVER_CONNECTIONS_LISTENING_SOCKETS_H_

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace lmserve {

struct ListeningSocket {
  int fd;                 // does not block
  std::string path = {};  // of a Unix socket
};

// Listens on an address: HOST:PORT, where port 0 chooses a free port and a host
// name may stand for several addresses, which get the same port; [IPV6]:PORT;
// or unix:PATH, which replaces a socket that no process listens on and gets the
// permissions `mode`, by default those that the umask leaves. Changes a port 0
// in the address to the chosen port. The caller owns the sockets. Returns
// INVALID_ARGUMENT if it is no such address, and UNAVAILABLE if it cannot
// listen, both without the address in the message.
absl::StatusOr<std::vector<ListeningSocket>> ListenOn(
    std::string* address, std::optional<mode_t> mode = std::nullopt);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_CONNECTIONS_LISTENING_SOCKETS_H_
