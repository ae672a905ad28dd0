// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODEL_STORE_VERSION_POLICY_H_
#define LMSERVE_MODEL_STORE_VERSION_POLICY_H_

#include <cstddef>
#include <cstdint>
#include <limits>
#include <map>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// Which versions a store keeps loaded, in addition to those that aliases name,
// those that were loaded explicitly and the members of rerankers.
struct VersionPolicy {
  static constexpr size_t kAll = std::numeric_limits<size_t>::max();

  // Number of versions to load per model, the newest that can be loaded. Not
  // used if `listed` is not empty.
  size_t newest = 1;

  // If not empty, load exactly these versions, by model.
  std::map<std::string, std::set<uint64_t>> listed = {};
};

// Parses a number greater than 0, "all", or NAME@VERSION,NAME@VERSION,...
// INVALID_ARGUMENT if the text has another form.
absl::StatusOr<VersionPolicy> ParseVersionPolicy(absl::string_view text);

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_VERSION_POLICY_H_
