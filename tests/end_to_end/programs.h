// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_END_TO_END_PROGRAMS_H_
#define LMSERVE_TESTS_END_TO_END_PROGRAMS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "tests/testing/process.h"

namespace lmserve {

using Arguments = std::vector<std::string>;

// Returns the command line that runs a program of the project, such as
// "lm_client".
Arguments Command(absl::string_view program, const Arguments& arguments);

// Runs lm_trainer to its end.
Outcome RunTrainer(const Arguments& arguments, absl::string_view input = "");

// A running lm_server that serves a store.
class ServerProcess {
 public:
  // Starts the server and waits until it listens or has failed.
  explicit ServerProcess(const std::string& store,
                         const Arguments& more_arguments = {},
                         const std::string& listen = "127.0.0.1:0");

  // The address on which it listens; empty if it failed to start.
  const std::string& address() const { return address_; }
  Process& process() { return process_; }

  // Runs lm_client with this server to its end.
  Outcome Client(const Arguments& arguments, absl::string_view input = "");

 private:
  Process process_;
  std::string address_;
};

// Returns the command line that runs lm_client with a server.
Arguments ClientCommand(const ServerProcess& server,
                        const Arguments& arguments);

// The path of a file or folder of the project, such as "tests/golden".
std::string SourcePath(absl::string_view name);

std::string ReadFile(const std::string& path);
void WriteText(const std::string& path, absl::string_view text);

}  // namespace lmserve

#endif  // LMSERVE_TESTS_END_TO_END_PROGRAMS_H_
