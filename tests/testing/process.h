#ifndef LMSERVE_TESTS_TESTING_PROCESS_H_
#define LMSERVE_TESTS_TESTING_PROCESS_H_

#include <stdio.h>
#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace lmserve {

// A program that runs beside the test. What it says on the standard error is
// kept in a file. Killed at the end, and where the test ends first. One thread
// at a time.
class Process {
 public:
  // Starts a program, found in $PATH where it has no slash, with its standard
  // input and output in our hands. Aborts where no process can be made; one
  // that cannot be executed exits with 127.
  explicit Process(const std::vector<std::string>& command);
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  ~Process();

  // Writes to its standard input. False where nobody reads it any more.
  bool Write(absl::string_view text);
  void CloseInput();

  // The next line of its standard output, without its LF; false at the end.
  bool ReadLine(std::string* line);
  // All that is left of it.
  std::string ReadAll();

  void Signal(int signal);

  pid_t id() const { return pid_; }

  // Waits for its end: the exit code, or the signal that ended it, negative.
  int Wait();

  // What it has said on the standard error.
  std::string Errors() const;

 private:
  pid_t pid_;
  bool running_ = true;
  int exit_code_ = 0;
  FILE* input_;
  FILE* output_;
  FILE* errors_;
};

// What a program left behind.
struct Outcome {
  int exit_code;  // or the signal that ended it, negative
  std::string output;
  std::string errors;
};

// Runs a program to its end with a text as its standard input.
Outcome RunProgram(const std::vector<std::string>& command,
                   absl::string_view input = "");

}  // namespace lmserve

#endif  // LMSERVE_TESTS_TESTING_PROCESS_H_
