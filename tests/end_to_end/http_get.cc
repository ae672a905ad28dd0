// SPDX-License-Identifier: Apache-2.0
#include "tests/end_to_end/http_get.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace lmserve {

std::string HttpGet(int port, const std::string& path) {
  const int connection = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  std::string answer;
  if (connect(connection, reinterpret_cast<sockaddr*>(&address),
              sizeof(address)) == 0) {
    const std::string request = absl::StrCat(
        "GET ", path,
        " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    if (write(connection, request.data(), request.size()) > 0) {
      char block[4096];
      ssize_t size;
      while ((size = read(connection, block, sizeof(block))) > 0) {
        answer.append(block, size);
      }
    }
  }
  close(connection);
  return answer;
}

int MetricsPort(Process& server) {
  std::string line;
  int port = 0;
  while (port == 0 && server.ReadLine(&line)) {
    absl::string_view rest = line;
    if (absl::ConsumePrefix(&rest, "metrics on port ")) {
      if (!absl::SimpleAtoi(rest, &port)) return 0;
    }
  }
  return port;
}

}  // namespace lmserve
