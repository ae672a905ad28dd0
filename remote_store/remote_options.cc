// SPDX-License-Identifier: Apache-2.0
#include "remote_store/remote_options.h"

#include <cstdint>
#include <cstdio>
#include <iostream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "model_store/model_name.h"
#include "models/printable_text.h"
#include "remote_store/directory_transport.h"

namespace lmserve {
namespace {

// The most bytes of an error that are printed.
constexpr size_t kMaxErrorBytes = 16 << 10;

// Whether an address is the path of a directory: it has no colon before the
// first slash, as those of rclone have.
bool IsDirectory(absl::string_view remote) {
  return !absl::StrContains(remote.substr(0, remote.find('/')), ':');
}

std::string CheckModel(const std::string& name) {
  return std::string(CheckModelName(name).message());
}

}  // namespace

void AddStoreOption(cli::App& command, std::string* store) {
  command.add_option("DIR", *store, "Directory of the model store")->required();
}

void AddRemoteOptions(cli::App& command, RemoteOptions* options) {
  command
      .add_option("REMOTE", options->remote,
                  "The remote store: NAME:BUCKET/PATH as rclone calls it, or a "
                  "directory")
      ->required();
  command
      .add_option("--model", options->models,
                  "Name of a model; may be given several times. All models by "
                  "default")
      ->check(CheckModel)
      ->allow_extra_args(false);
  command
      .add_option("--attempts", options->retry.attempts,
                  "How many times an operation on the remote store is tried")
      ->check(cli::Range(1, 1000))
      ->capture_default_str();
  command
      .add_option("--stall-seconds", options->stall_seconds,
                  "A transfer that does not get on for this long is tried "
                  "again")
      ->check(cli::Range(0.1, 86400.0))
      ->capture_default_str();
  command
      .add_option("--rclone", options->rclone.program,
                  "The program rclone, 1.60 or newer")
      ->envname("LM_STORE_RCLONE")
      ->capture_default_str();
  command
      .add_option("--rclone-option", options->rclone.options,
                  "A further option of rclone, as in "
                  "--rclone-option=--s3-no-check-bucket; may be given several "
                  "times. Variables RCLONE_... of the environment work, too")
      ->allow_extra_args(false);
}

Remote::Remote(const RemoteOptions& options, const Pause& pause) {
  if (IsDirectory(options.remote)) {
    transport_ = std::make_unique<DirectoryTransport>(options.remote);
  } else {
    RcloneOptions rclone = options.rclone;
    rclone.stall = std::chrono::milliseconds(
        static_cast<int64_t>(options.stall_seconds * 1000));
    transport_ =
        std::make_unique<RcloneTransport>(options.remote, rclone, pause);
  }
  RetryOptions retry = options.retry;
  retry.on_retry = [](const absl::Status& status) {
    PrintMessage(absl::StrCat(status.message(), "; trying again"));
  };
  retrying_ =
      std::make_unique<RetryingTransport>(transport_.get(), retry, pause);
}

void PrintMessage(absl::string_view message) {
  std::fprintf(stderr, "lm_store: %s\n",
               Printable(message, kMaxErrorBytes).c_str());
}

Reporter Printer::reporter() {
  return {
      .done = [](absl::string_view line) { std::cout << line << std::endl; },
      .problem =
          [this](const absl::Status& status) {
            ++problems_;
            PrintMessage(status.message());
          }};
}

absl::Status Printer::Result(const absl::Status& status) const {
  if (status.ok() || absl::IsAborted(status) || problems_ == 0) return status;
  return absl::Status(
      status.code(),
      problems_ == 1 ? "1 problem" : absl::StrCat(problems_, " problems"));
}

}  // namespace lmserve
