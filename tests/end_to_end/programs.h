#ifndef LMSERVE_TESTS_END_TO_END_PROGRAMS_H_
#define LMSERVE_TESTS_END_TO_END_PROGRAMS_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "tests/testing/process.h"

namespace lmserve {

using Arguments = std::vector<std::string>;

// The command that runs a program of the project: "lm_client", ...
Arguments Command(absl::string_view program, const Arguments& arguments);

Outcome RunTrainer(const Arguments& arguments, absl::string_view input = "");

// A lm_server over a store that listens.
class ServerProcess {
 public:
  explicit ServerProcess(const std::string& store,
                         const Arguments& more_arguments = {},
                         const std::string& listen = "127.0.0.1:0");

  const std::string& address() const { return address_; }
  Process& process() { return process_; }

  // Runs lm_client against it.
  Outcome Client(const Arguments& arguments, absl::string_view input = "");

 private:
  Process process_;
  std::string address_;  // empty where it does not listen
};

// A lm_client that runs on against a server.
Arguments ClientCommand(const ServerProcess& server,
                        const Arguments& arguments);

std::string ReadFile(const std::string& path);
void WriteText(const std::string& path, absl::string_view text);

}  // namespace lmserve

#endif  // LMSERVE_TESTS_END_TO_END_PROGRAMS_H_
