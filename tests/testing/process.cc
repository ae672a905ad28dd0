// SPDX-License-Identifier: Apache-2.0
#include "tests/testing/process.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace lmserve {
namespace {

// Opens a temporary file without a name, which is closed on exec.
FILE* TemporaryFile() {
  FILE* file = tmpfile();
  if (file == nullptr) abort();
  fcntl(fileno(file), F_SETFD, FD_CLOEXEC);
  return file;
}

std::string Contents(FILE* file) {
  std::string text;
  char buffer[4096];
  // read() would move the file position, which the child process shares.
  for (ssize_t size;
       (size = pread(fileno(file), buffer, sizeof buffer, text.size())) > 0;) {
    text.append(buffer, size);
  }
  return text;
}

// Starts a program with the given standard input, output and error. Between
// fork() and exec, the child only makes system calls: others are not safe if
// the test has threads.
pid_t StartProgram(const std::vector<std::string>& command, int input,
                   int output, int errors) {
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (const std::string& argument : command) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) abort();
  if (pid > 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(127);
  signal(SIGPIPE, SIG_DFL);
  if (dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(errors, 2) < 0) {
    _exit(127);
  }
  execvp(arguments[0], arguments.data());
  _exit(127);
}

int WaitFor(pid_t pid) {
  int status = 0;
  if (waitpid(pid, &status, 0) != pid) abort();
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace

Process::Process(const std::vector<std::string>& command)
    : errors_(TemporaryFile()) {
  signal(SIGPIPE, SIG_IGN);  // Write() returns false instead
  int in[2], out[2];
  if (pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0) abort();
  pid_ = StartProgram(command, in[0], out[1], fileno(errors_));
  close(in[0]);
  close(out[1]);
  input_ = fdopen(in[1], "w");
  output_ = fdopen(out[0], "r");
}

Process::~Process() {
  if (running_) Signal(SIGKILL);
  Wait();
  CloseInput();
  fclose(output_);
  fclose(errors_);
}

bool Process::Write(absl::string_view text) {
  return fwrite(text.data(), 1, text.size(), input_) == text.size() &&
         fflush(input_) == 0;
}

void Process::CloseInput() {
  if (input_ != nullptr) fclose(input_);
  input_ = nullptr;
}

bool Process::ReadLine(std::string* line) {
  line->clear();
  int c;
  while ((c = getc(output_)) != EOF && c != '\n') line->push_back(c);
  return c != EOF || !line->empty();
}

std::string Process::ReadAll() {
  std::string text;
  for (int c; (c = getc(output_)) != EOF;) text.push_back(c);
  return text;
}

void Process::Signal(int signal) { kill(pid_, signal); }

int Process::Wait() {
  if (running_) exit_code_ = WaitFor(pid_);
  running_ = false;
  return exit_code_;
}

std::string Process::Errors() const { return Contents(errors_); }

Outcome RunProgram(const std::vector<std::string>& command,
                   absl::string_view input) {
  FILE* in = TemporaryFile();
  FILE* out = TemporaryFile();
  FILE* err = TemporaryFile();
  if (fwrite(input.data(), 1, input.size(), in) != input.size()) abort();
  rewind(in);
  const pid_t pid = StartProgram(command, fileno(in), fileno(out), fileno(err));
  const int exit_code = WaitFor(pid);
  Outcome outcome = {exit_code, Contents(out), Contents(err)};
  for (FILE* file : {in, out, err}) fclose(file);
  return outcome;
}

}  // namespace lmserve
