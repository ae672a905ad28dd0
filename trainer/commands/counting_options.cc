// SPDX-License-Identifier: Apache-2.0
#include "trainer/commands/counting_options.h"

#include <csignal>
#include <filesystem>
#include <memory>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "trainer/counting/counts_directory.h"

namespace lmserve {
namespace {

// The least memory with which counting works: tables, and buffers of files.
constexpr uint64_t kMinMemory = uint64_t{4} << 20;

// Reads a number of bytes, as in 500M or 2G. Nothing if it is not one.
std::optional<uint64_t> ParseBytes(absl::string_view text) {
  int shift = 0;
  if (!text.empty()) {
    constexpr absl::string_view kUnits = "KMGT";
    const size_t unit = kUnits.find(absl::ascii_toupper(text.back()));
    if (unit != absl::string_view::npos) {
      shift = 10 * (static_cast<int>(unit) + 1);
      text.remove_suffix(1);
    }
  }
  uint64_t number;
  if (!absl::SimpleAtoi(text, &number) || number << shift >> shift != number) {
    return std::nullopt;
  }
  return number << shift;
}

// Set by the signal handler, which can reach nothing else.
StopFlag stop_requested = false;

void RequestStop(int) { stop_requested = true; }

// Handles SIGINT and SIGTERM until the destructor.
class SignalStop {
 public:
  SignalStop() {
    stop_requested = false;
    struct sigaction action = {};
    action.sa_handler = RequestStop;
    // A second signal ends the process at once.
    action.sa_flags = SA_RESTART | SA_RESETHAND;
    sigaction(SIGINT, &action, &old_interrupt_);
    sigaction(SIGTERM, &action, &old_terminate_);
  }
  SignalStop(const SignalStop&) = delete;
  SignalStop& operator=(const SignalStop&) = delete;
  ~SignalStop() {
    sigaction(SIGINT, &old_interrupt_, nullptr);
    sigaction(SIGTERM, &old_terminate_, nullptr);
  }

  const StopFlag* flag() const { return &stop_requested; }

 private:
  struct sigaction old_interrupt_ = {}, old_terminate_ = {};
};

}  // namespace

void AddCountingOptions(cli::App& command, const std::string& memory_help,
                        CountingOptions* options) {
  command
      .add_option_function<std::string>(
          "--memory",
          [options](const std::string& text) {
            options->memory = ParseBytes(text).value_or(0);
          },
          memory_help)
      ->check(cli::Validator([](const std::string& text) -> std::string {
        if (ParseBytes(text).value_or(0) >= kMinMemory) return "";
        return absl::StrCat(
            "expected a number of bytes such as 500M or 2G, at least 4M, found "
            "'",
            text, "'");
      }));
  std::error_code error;
  options->temporary = std::filesystem::temp_directory_path(error).string();
  command
      .add_option("--temporary", options->temporary,
                  "Directory for temporary files, about 10 bytes per word of "
                  "the text and more")
      ->capture_default_str();
  command.add_flag("--resume", options->resume,
                   "Continue a run of the same command that was interrupted; "
                   "the stages that it has finished are kept in --temporary");
  command
      .add_option("--threads", options->threads,
                  "Number of threads that count n-grams")
      ->check(cli::Range(1, 256))
      ->capture_default_str();
}

void AddFileCountingOptions(cli::App& command, CountingOptions* options) {
  options->memory = uint64_t{1} << 30;
  AddCountingOptions(command,
                     "Bytes of memory for tables and buffers, as in 2G "
                     "[default: 1G]",
                     options);
}

absl::Status CheckNewCounts(const std::string& directory) {
  if (!ReadCountsManifest(directory).ok()) return absl::OkStatus();
  return absl::AlreadyExistsError(absl::StrCat(
      directory, ": expected a new directory, found counts in it"));
}

absl::Status RunCountingWork(const CountingOptions& options,
                             absl::string_view task, CountingWork work) {
  // Before the directory is made: whoever sees it can interrupt the work.
  const SignalStop stop;
  auto directory = WorkDirectory::Open(options.temporary, task, options.resume);
  if (!directory.ok()) return directory.status();
  absl::Status status = work(**directory, stop.flag());
  if (status.ok()) return (*directory)->RemoveAll();
  if (!absl::IsAborted(status) && !absl::IsResourceExhausted(status)) {
    return status;
  }
  return absl::AbortedError(absl::StrCat(
      status.message(), "; finished stages are kept in ", (*directory)->path(),
      ": run the same command with --resume to continue"));
}

}  // namespace lmserve
