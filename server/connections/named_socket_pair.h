// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_CONNECTIONS_NAMED_SOCKET_PAIR_H_
#define LMSERVE_SERVER_CONNECTIONS_NAMED_SOCKET_PAIR_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// Two connected sockets inside the process. The peer of `server`, as
// getpeername() returns it, has a name that contains the address of the client,
// so that gRPC reports it with each call.
struct NamedSocketPair {
  int relay;  // the caller owns both
  int server;

  // Makes a pair for a client with this address, see ClientAddress(). Fails
  // with the error of the operating system, such as RESOURCE_EXHAUSTED if the
  // process has too many open files.
  static absl::StatusOr<NamedSocketPair> Create(absl::string_view address);
};

// Returns the address of the client from the name of a peer as gRPC reports it:
// "unix-abstract:lmserve..." of a NamedSocketPair. Returns other names as they
// are.
std::string AddressFromPeer(absl::string_view peer);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_CONNECTIONS_NAMED_SOCKET_PAIR_H_
