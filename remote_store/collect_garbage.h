// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_REMOTE_STORE_COLLECT_GARBAGE_H_
#define LMSERVE_REMOTE_STORE_COLLECT_GARBAGE_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "remote_store/pause.h"
#include "remote_store/reporter.h"
#include "remote_store/transport.h"

namespace lmserve {

struct GarbageOptions {
  std::vector<std::string> models = {};  // all models if empty
  size_t keep = 1;  // at least 1: the newest versions of each model that stay
  bool dry_run = false;    // report what would be removed, and change nothing
  bool abandoned = false;  // also remove what a push has left that did not end
};

// Removes versions of a remote store: all but the newest that are whole, and
// but those that an alias or a reranker of the store names. The manifest of a
// version is deleted first, so at every moment the version is whole or does not
// exist. What is left of a version without a manifest is removed, too, if it is
// older than the newest whole one; if it has the claim of a push, only with
// `abandoned`. Reports what it removes as done. A push that sets an alias of an
// old version at the same time can lose against it, so removal belongs into the
// hands of whoever pushes. Returns the first problem.
absl::Status CollectGarbage(Transport& transport, const GarbageOptions& options,
                            const Reporter& reporter, const Pause& pause);

}  // namespace lmserve

#endif  // LMSERVE_REMOTE_STORE_COLLECT_GARBAGE_H_
