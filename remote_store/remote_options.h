// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_REMOTE_STORE_REMOTE_OPTIONS_H_
#define LMSERVE_REMOTE_STORE_REMOTE_OPTIONS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "command_line/cli.h"
#include "remote_store/pause.h"
#include "remote_store/rclone_transport.h"
#include "remote_store/reporter.h"
#include "remote_store/retrying_transport.h"
#include "remote_store/transport.h"

namespace lmserve {

// The remote store of a command, and how it is reached.
struct RemoteOptions {
  std::string remote;
  std::vector<std::string> models;
  RcloneOptions rclone;
  double stall_seconds = 120;
  RetryOptions retry;
};

// Adds REMOTE, --model and the options of the transport.
void AddRemoteOptions(cli::App& command, RemoteOptions* options);

// Adds DIR, the directory of a store.
void AddStoreOption(cli::App& command, std::string* store);

// The way to a remote store, with retries.
class Remote {
 public:
  Remote(const RemoteOptions& options, const Pause& pause);

  Transport& transport() { return *retrying_; }

 private:
  std::unique_ptr<Transport> transport_;
  std::unique_ptr<Transport> retrying_;
};

// Writes a line "lm_store: MESSAGE" to the standard error.
void PrintMessage(absl::string_view message);

// Prints what is done and what is not, and counts the latter.
class Printer {
 public:
  // Writes what was done to the standard output and problems to the standard
  // error. Must not live longer than this object.
  Reporter reporter();

  // Returns the result of the operation, which was `status`: as it is, or the
  // number of problems if they were printed already.
  absl::Status Result(const absl::Status& status) const;

 private:
  int problems_ = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_REMOTE_STORE_REMOTE_OPTIONS_H_
