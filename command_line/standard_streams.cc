// SPDX-License-Identifier: Apache-2.0
#include "command_line/standard_streams.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <system_error>

namespace lmserve {
namespace {

// Opens /dev/null with the number of a standard stream, in place of what has
// the number now.
void OpenNull(int stream) {
  const int mode = stream == STDIN_FILENO ? O_WRONLY : O_RDONLY;
  const int opened = open("/dev/null", mode);
  if (opened < 0 || opened == stream) return;
  dup2(opened, stream);
  close(opened);
}

// Whether a descriptor is no file, terminal, pipe or socket, such as an eventfd
// that a library made before main().
bool IsOfLibrary(int descriptor) {
  struct stat status;
  return fstat(descriptor, &status) == 0 && (status.st_mode & S_IFMT) == 0;
}

}  // namespace

void OpenStandardStreams(char** argv) {
  bool was_taken = false;
  for (int stream = STDIN_FILENO; stream <= STDERR_FILENO; ++stream) {
    const bool is_taken = IsOfLibrary(stream);
    was_taken |= is_taken;
    if (is_taken || fcntl(stream, F_GETFD) < 0) OpenNull(stream);
  }
  if (!was_taken) return;
  // The library still uses the number, so the process begins again.
  std::error_code failed;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", failed);
  if (!failed) execv(program.c_str(), argv);
}

bool StandardOutputIsClosed() {
  pollfd output = {STDOUT_FILENO, POLLOUT, 0};
  return poll(&output, 1, 0) > 0 && (output.revents & (POLLERR | POLLHUP)) != 0;
}

}  // namespace lmserve
