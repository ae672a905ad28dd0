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

// Which versions are kept loaded, besides those that aliases name and those
// that somebody asked for.
struct VersionPolicy {
  static constexpr size_t kAll = std::numeric_limits<size_t>::max();

  // Of each model so many good ones, the newest.
  size_t newest = 1;

  // Where not empty: these, by model, and no others.
  std::map<std::string, std::set<uint64_t>> listed = {};
};

// Reads a number above 0, "all", or NAME@VERSION,NAME@VERSION,...; fails with
// INVALID_ARGUMENT, telling the forms.
absl::StatusOr<VersionPolicy> ParseVersionPolicy(absl::string_view text);

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_VERSION_POLICY_H_
