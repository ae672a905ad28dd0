// SPDX-License-Identifier: Apache-2.0
#include "server/connections/named_socket_pair.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace lmserve {
namespace {

// The name of the other end, in the form of gRPC.
std::string Peer(int socket) {
  sockaddr_un peer = {};
  socklen_t size = sizeof(peer);
  EXPECT_EQ(getpeername(socket, reinterpret_cast<sockaddr*>(&peer), &size), 0);
  return absl::StrCat("unix-abstract:",
                      std::string(peer.sun_path + 1,
                                  size - offsetof(sockaddr_un, sun_path) - 1));
}

TEST(NamedSocketPairTest, IsConnectedAndNamesTheClient) {
  for (const char* address :
       {"ipv4:127.0.0.1", "ipv6:[2001:db8::12:3456]", "unix",
        "ipv6:[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]"}) {
    const auto pair = NamedSocketPair::Create(address);
    ASSERT_TRUE(pair.ok()) << pair.status();
    EXPECT_EQ(write(pair->relay, "hello", 5), 5);
    char text[5];
    EXPECT_EQ(read(pair->server, text, sizeof(text)), 5);
    EXPECT_EQ(std::string(text, 5), "hello");
    EXPECT_EQ(AddressFromPeer(Peer(pair->server)), address);
    close(pair->relay);
    close(pair->server);
  }
}

TEST(NamedSocketPairTest, LeavesOtherNamesAlone) {
  EXPECT_EQ(AddressFromPeer("ipv4:127.0.0.1:80"), "ipv4:127.0.0.1:80");
  EXPECT_EQ(AddressFromPeer("unix-abstract:other"), "unix-abstract:other");
  EXPECT_EQ(AddressFromPeer("unix-abstract:lmserve.1"),
            "unix-abstract:lmserve.1");
}

}  // namespace
}  // namespace lmserve
