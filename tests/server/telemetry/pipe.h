// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_SERVER_TELEMETRY_PIPE_H_
#define LMSERVE_TESTS_SERVER_TELEMETRY_PIPE_H_

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <string>

namespace lmserve {

// A pipe that holds 4096 bytes, the least that is possible. Ignores SIGPIPE.
class Pipe {
 public:
  Pipe() {
    signal(SIGPIPE, SIG_IGN);
    EXPECT_EQ(pipe2(ends_, O_CLOEXEC), 0);
    EXPECT_GE(fcntl(ends_[1], F_SETPIPE_SZ, 4096), 4096);
  }
  ~Pipe() {
    CloseReader();
    close(ends_[1]);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;

  int writer() const { return ends_[1]; }

  void CloseReader() {
    if (ends_[0] >= 0) close(ends_[0]);
    ends_[0] = -1;
  }

  // Waits for at most `size` bytes and returns them.
  std::string Read(size_t size = 1 << 16) const {
    std::string bytes(size, '\0');
    const ssize_t read = ::read(ends_[0], bytes.data(), size);
    bytes.resize(read > 0 ? read : 0);
    return bytes;
  }

 private:
  int ends_[2];
};

}  // namespace lmserve

#endif  // LMSERVE_TESTS_SERVER_TELEMETRY_PIPE_H_
