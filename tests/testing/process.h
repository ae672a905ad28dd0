// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_TESTING_PROCESS_H_
#define LMSERVE_TESTS_TESTING_PROCESS_H_

#include <stdio.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace lmserve {

// A program that a test runs in parallel. Its standard error is written to a
// file. The program is killed by the destructor, and when the test process
// ends. Not thread-safe.
class Process {
 public:
  // Starts a program with pipes for its standard input and output. Searches it
  // in $PATH if the name has no slash. Aborts the test if no process can be
  // created. A program that cannot be executed exits with 127.
  explicit Process(const std::vector<std::string>& command);
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process();

  // Writes to the standard input of the program. Returns false if the program
  // has closed it.
  bool Write(absl::string_view text);
  void CloseInput();

  // Reads the next line of the standard output, without LF. Returns false at
  // its end.
  bool ReadLine(std::string* line);
  // Returns the rest of the standard output.
  std::string ReadAll();

  void Signal(int signal);

  pid_t id() const { return pid_; }

  // Waits until the program ends. Returns the exit code or, if a signal ended
  // it, the negative number of the signal.
  int Wait();

  // Returns the standard error that the program has written so far.
  std::string Errors() const;

 private:
  pid_t pid_;
  bool running_ = true;
  int exit_code_ = 0;
  FILE* input_;
  FILE* output_;
  FILE* errors_;
};

// The result of a program.
struct Outcome {
  int exit_code;  // as returned by Process::Wait()
  std::string output;
  std::string errors;
};

// Runs a program with `input` as its standard input, and waits until it ends.
// Thread-safe.
Outcome RunProgram(const std::vector<std::string>& command,
                   absl::string_view input = "");

}  // namespace lmserve

#endif  // LMSERVE_TESTS_TESTING_PROCESS_H_
