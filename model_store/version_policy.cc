// SPDX-License-Identifier: Apache-2.0
#include "model_store/version_policy.h"

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "model_store/model_name.h"

namespace lmserve {

absl::StatusOr<VersionPolicy> ParseVersionPolicy(absl::string_view text) {
  VersionPolicy policy;
  if (text == "all") {
    policy.newest = VersionPolicy::kAll;
    return policy;
  }
  if (absl::SimpleAtoi(text, &policy.newest) && policy.newest > 0) {
    return policy;
  }
  for (absl::string_view spec : absl::StrSplit(text, ',')) {
    const absl::StatusOr<ModelName> listed = ParseModelName(spec);
    if (!listed.ok() || listed->version == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("expected a number greater than 0, all or "
                       "NAME@VERSION,..., found '",
                       text, "'"));
    }
    policy.listed[listed->name].insert(listed->version);
  }
  return policy;
}

}  // namespace lmserve
