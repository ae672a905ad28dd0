// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_MODEL_STORE_CHILD_H_
#define LMSERVE_TESTS_MODEL_STORE_CHILD_H_

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>
#include <utility>

#include "gtest/gtest.h"

namespace lmserve {

// A child process that runs a function until it returns or is killed.
class Child {
 public:
  explicit Child(const std::function<void()>& run) : pid_(fork()) {
    if (pid_ == 0) {
      run();
      _exit(0);
    }
  }
  Child(Child&& other) noexcept : pid_(std::exchange(other.pid_, -1)) {}
  ~Child() {
    if (pid_ > 0) Wait();
  }

  void Kill() const { ASSERT_EQ(kill(pid_, SIGKILL), 0); }

  // Waits for the end and returns whether the function returned.
  bool Wait() {
    int status = 0;
    const bool ended = waitpid(std::exchange(pid_, -1), &status, 0) > 0;
    return ended && WIFEXITED(status) && WEXITSTATUS(status) == 0;
  }

 private:
  pid_t pid_;
};

}  // namespace lmserve

#endif  // LMSERVE_TESTS_MODEL_STORE_CHILD_H_
