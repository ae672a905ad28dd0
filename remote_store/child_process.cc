// SPDX-License-Identifier: Apache-2.0
#include "remote_store/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"

namespace lmserve {
namespace {

// How often the parent looks whether it must stop.
constexpr std::chrono::milliseconds kTick(50);
// How long a program has after SIGTERM.
constexpr std::chrono::milliseconds kKillAfter(2'000);

using Clock = std::chrono::steady_clock;

// The reading end of a pipe, which the destructor closes.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() { Close(); }

  int number() const { return number_; }
  bool is_open() const { return number_ >= 0; }
  void Close() {
    if (number_ >= 0) close(number_);
    number_ = -1;
  }

 private:
  int number_;
};

// Becomes the program. Runs between fork() and exec().
[[noreturn]] void Execute(const std::vector<char*>& arguments, pid_t parent,
                          int output, int errors) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(kCannotExecute);  // it has ended already
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  const int input = open("/dev/null", O_RDONLY);
  dup2(input, STDIN_FILENO);
  dup2(output, STDOUT_FILENO);
  dup2(errors, STDERR_FILENO);
  execvp(arguments[0], arguments.data());
  constexpr absl::string_view kFailed = "cannot execute the program\n";
  if (write(STDERR_FILENO, kFailed.data(), kFailed.size()) < 0) {
    // The exit code says it, too.
  }
  _exit(kCannotExecute);
}

// A program that runs. The destructor ends it.
class Child {
 public:
  explicit Child(pid_t id) : id_(id) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() { End(); }

  // Returns the status of waitpid(2), or nothing while the program runs.
  std::optional<int> Poll() {
    int status = 0;
    if (id_ < 0 || waitpid(id_, &status, WNOHANG) != id_) return std::nullopt;
    id_ = -1;
    return status;
  }

 private:
  void End() {
    if (id_ < 0) return;
    kill(id_, SIGTERM);
    const auto end = Clock::now() + kKillAfter;
    while (id_ >= 0 && Clock::now() < end) {
      if (!Poll().has_value()) poll(nullptr, 0, 10);
    }
    if (id_ < 0) return;
    kill(id_, SIGKILL);
    waitpid(id_, nullptr, 0);
    id_ = -1;
  }

  pid_t id_;
};

// Reads what is there. Returns an empty text at the end.
absl::StatusOr<absl::string_view> ReadSome(int descriptor,
                                           absl::Span<char> buffer) {
  for (;;) {
    const ssize_t got = read(descriptor, buffer.data(), buffer.size());
    if (got >= 0) return absl::string_view(buffer.data(), got);
    if (errno != EINTR) return absl::ErrnoToStatus(errno, "cannot read a pipe");
  }
}

// Relays the output of a program until both pipes are closed.
class Relay {
 public:
  Relay(const ChildHandling& handling, Descriptor& output, Descriptor& errors)
      : handling_(handling), output_(output), errors_(errors) {}

  absl::Status Run() {
    while (output_.is_open() || errors_.is_open()) {
      absl::Status status = CheckTime();
      if (!status.ok()) return status;
      std::array<pollfd, 2> waiting = {
          pollfd{output_.number(), POLLIN, 0},  // negative ones are ignored
          pollfd{errors_.number(), POLLIN, 0}};
      if (poll(waiting.data(), waiting.size(), kTick.count()) <= 0) continue;
      if (waiting[0].revents != 0) status = RelayOutput();
      if (status.ok() && waiting[1].revents != 0) status = RelayErrors();
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  absl::Status CheckTime() const {
    absl::Status status = handling_.pause(std::chrono::milliseconds(0));
    if (!status.ok()) return status;
    if (Clock::now() - last_progress_ < handling_.stall) return status;
    return absl::UnavailableError(absl::StrCat(
        "no progress for ",
        std::chrono::duration_cast<std::chrono::seconds>(handling_.stall)
            .count(),
        " s"));
  }

 private:
  absl::Status RelayOutput() {
    const absl::StatusOr<absl::string_view> piece =
        ReadSome(output_.number(), absl::MakeSpan(buffer_));
    if (!piece.ok()) return piece.status();
    if (piece->empty()) {
      output_.Close();
      return absl::OkStatus();
    }
    last_progress_ = Clock::now();
    return handling_.on_output(*piece);
  }

  absl::Status RelayErrors() {
    const absl::StatusOr<absl::string_view> piece =
        ReadSome(errors_.number(), absl::MakeSpan(buffer_));
    if (!piece.ok()) return piece.status();
    for (char c : *piece) {
      if (c != '\n') {
        if (line_.size() < kLongestLine) line_ += c;
        continue;
      }
      EndLine();
    }
    if (piece->empty()) {
      EndLine();
      errors_.Close();
    }
    return absl::OkStatus();
  }

  void EndLine() {
    if (!line_.empty() && handling_.on_error_line(line_)) {
      last_progress_ = Clock::now();
    }
    line_.clear();
  }

  static constexpr size_t kLongestLine = 64 << 10;

  const ChildHandling& handling_;
  Descriptor& output_;
  Descriptor& errors_;
  Clock::time_point last_progress_ = Clock::now();
  std::string line_;
  std::vector<char> buffer_ = std::vector<char>(1 << 16);
};

}  // namespace

absl::StatusOr<int> RunChild(const std::vector<std::string>& command,
                             const ChildHandling& handling) {
  std::vector<char*> arguments;
  for (const std::string& argument : command) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  std::array<int, 2> pipes[2];
  if (pipe2(pipes[0].data(), O_CLOEXEC) != 0) {
    return absl::ErrnoToStatus(errno, "cannot create a pipe");
  }
  Descriptor output(pipes[0][0]);
  Descriptor output_end(pipes[0][1]);
  if (pipe2(pipes[1].data(), O_CLOEXEC) != 0) {
    return absl::ErrnoToStatus(errno, "cannot create a pipe");
  }
  Descriptor errors(pipes[1][0]);
  Descriptor errors_end(pipes[1][1]);
  const pid_t parent = getpid();
  const pid_t id = fork();
  if (id < 0) return absl::ErrnoToStatus(errno, "cannot create a process");
  if (id == 0) {
    Execute(arguments, parent, output_end.number(), errors_end.number());
  }
  Child child(id);
  output_end.Close();
  errors_end.Close();
  Relay relay(handling, output, errors);
  absl::Status status = relay.Run();
  if (!status.ok()) return status;
  for (;;) {
    if (const std::optional<int> ended = child.Poll(); ended.has_value()) {
      if (WIFEXITED(*ended)) return WEXITSTATUS(*ended);
      return absl::UnavailableError(
          absl::StrCat("ended by signal ", WTERMSIG(*ended)));
    }
    if (status = relay.CheckTime(); !status.ok()) return status;
    poll(nullptr, 0, 2);
  }
}

}  // namespace lmserve
