// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODEL_STORE_REMOVE_VERSIONS_H_
#define LMSERVE_MODEL_STORE_REMOVE_VERSIONS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace lmserve {

struct RemoveOptions {
  size_t keep = 1;  // at least 1: the newest versions that stay
  // Also remove versions that an alias or a reranker names, and those aliases.
  bool force = false;
  bool dry_run = false;  // find out what would be removed, and change nothing
};

// What RemoveVersions() has done.
struct VersionRemoval {
  struct Left {
    uint64_t version;
    std::string reason;
  };

  std::vector<uint64_t> removed;             // ascending
  std::vector<std::string> removed_aliases;  // sorted
  std::vector<Left> left;  // older than the versions to keep, but not removed
};

// Removes all but the newest versions of a model or a reranker. Without `force`
// it leaves the versions that an alias names, and those that a reranker of the
// store names as members. It never removes a version that is not complete,
// because somebody may be copying it into place, and such a version is not one
// of the newest that stay. Complete means that the manifest can be read and
// that its files exist with their sizes. So the last version stays, and the
// number of a removed version is not used again.
//
// A version is renamed to a hidden name, which readers ignore, and then
// deleted: at every moment it exists completely or not at all. What a call that
// was killed has left under hidden names is deleted by the next call. Holds the
// lock of the model's directory, like SetAlias(), so that no alias of another
// process comes to name a version while it is removed.
//
// Sets *removal to what was done, also if an error is returned. NOT_FOUND if
// the model has no version; INVALID_ARGUMENT if `keep` is 0; UNAVAILABLE if the
// lock cannot be had within a minute. Thread-safe.
absl::Status RemoveVersions(const std::string& store, absl::string_view name,
                            const RemoveOptions& options,
                            VersionRemoval* removal);

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_REMOVE_VERSIONS_H_
