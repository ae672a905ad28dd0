// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_REMOTE_STORE_CHILD_PROCESS_H_
#define LMSERVE_REMOTE_STORE_CHILD_PROCESS_H_

#include <chrono>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "remote_store/pause.h"

namespace lmserve {

// The exit code of a program that cannot be executed.
inline constexpr int kCannotExecute = 127;

// How RunChild() deals with a program.
struct ChildHandling {
  // Gets the standard output, piece by piece. The program is ended if it fails.
  absl::FunctionRef<absl::Status(absl::string_view)> on_output;
  // Gets each line of the standard error. Returns whether the line shows that
  // the program gets on, as output always does.
  absl::FunctionRef<bool(absl::string_view)> on_error_line;
  // The program is ended if it does not get on for this long.
  std::chrono::milliseconds stall;
  const Pause& pause;
};

// Runs a program, which is searched in $PATH if its name has no slash, with
// /dev/null as its standard input, and returns its exit code; kCannotExecute if
// it cannot be executed. The kernel kills it if this process ends. UNAVAILABLE
// if a signal has ended it or if it did not get on; the error of on_output or
// of `pause`. For a process with one thread.
absl::StatusOr<int> RunChild(const std::vector<std::string>& command,
                             const ChildHandling& handling);

}  // namespace lmserve

#endif  // LMSERVE_REMOTE_STORE_CHILD_PROCESS_H_
