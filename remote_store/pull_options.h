// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_REMOTE_STORE_PULL_OPTIONS_H_
#define LMSERVE_REMOTE_STORE_PULL_OPTIONS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "command_line/cli.h"
#include "remote_store/puller.h"
#include "remote_store/remote_options.h"

namespace lmserve {

// The options that `lm_store pull` and `lm_store sync` share.
struct PullCommandOptions {
  std::string store;
  RemoteOptions remote;
  PullOptions pull;
  bool remove = false;  // versions that are no longer wanted
};

// Adds DIR, REMOTE, --keep, --remove-old and so on.
void AddPullOptions(cli::App& command, PullCommandOptions* options);

// Pulls and then, with --remove-old, removes versions of the pulled models from
// the store. Returns the first problem.
absl::Status PullAndRemove(const PullCommandOptions& options, Puller& puller,
                           const Reporter& reporter);

}  // namespace lmserve

#endif  // LMSERVE_REMOTE_STORE_PULL_OPTIONS_H_
