// SPDX-License-Identifier: Apache-2.0
//
// lm_store sync: pulls again and again.

#include <chrono>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "remote_store/command.h"
#include "remote_store/pull_options.h"
#include "remote_store/stop_signals.h"

namespace lmserve {
namespace {

struct SyncOptions {
  PullCommandOptions common;
  double interval = 30;  // in seconds
};

// Reports a problem when it appears, and not again each time.
class NewProblems {
 public:
  void Add(const absl::Status& problem) {
    const std::string message(problem.message());
    if (!old_.contains(message)) PrintMessage(message);
    now_.insert(message);
  }

  void EndRound() { old_ = std::exchange(now_, {}); }

 private:
  std::set<std::string> old_;
  std::set<std::string> now_;
};

absl::Status RunSync(const SyncOptions& options) {
  StopSignals signals;
  const Pause pause = [&](auto duration) { return signals.Wait(duration); };
  Remote remote(options.common.remote, pause);
  NewProblems problems;
  Printer printer;
  Reporter reporter = printer.reporter();
  reporter.problem = [&](const absl::Status& status) { problems.Add(status); };
  PullOptions pull = options.common.pull;
  pull.models = options.common.remote.models;
  Puller puller(options.common.store, &remote.transport(), pull, reporter,
                pause);
  const std::chrono::milliseconds interval(
      static_cast<int64_t>(options.interval * 1000));
  for (;;) {
    const absl::Status status = PullAndRemove(options.common, puller, reporter);
    if (absl::IsAborted(status)) return absl::OkStatus();
    // Nearly always a repetition of what was reported.
    if (!status.ok()) problems.Add(status);
    problems.EndRound();
    if (!pause(interval).ok()) return absl::OkStatus();
  }
}

}  // namespace

void AddSyncCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<SyncOptions>();
  cli::App& command = *app.add_subcommand(
      "sync",
      "Pull, wait and pull again, until SIGTERM or SIGINT, which end it with "
      "exit code 0. Problems, such as a remote store that cannot be reached, "
      "do "
      "not end it; each is printed once.\n"
      "  lm_store sync store s3:models/store --interval 30 --newest 2 "
      "--remove-old");
  AddPullOptions(command, &options->common);
  command
      .add_option("--interval", options->interval,
                  "Seconds from the end of a pull to the next one")
      ->check(cli::Range(0.01, 86400.0))
      ->capture_default_str();
  command.callback([=] { *action = [=] { return RunSync(*options); }; });
}

}  // namespace lmserve
