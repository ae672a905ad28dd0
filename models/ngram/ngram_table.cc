// SPDX-License-Identifier: Apache-2.0
#include "models/ngram/ngram_table.h"

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace lmserve {
namespace {

// Log-probabilities may exceed 0 by this much because of rounding: ARPA files
// have 7 digits.
constexpr float kRounding = 1e-4f;

}  // namespace

absl::Status CheckNgramValues(const NgramTable& table) {
  for (int k = 1; k <= table.order(); ++k) {
    const NgramLevel& level = table.levels[k - 1];
    for (size_t i = 0; i < level.size(); ++i) {
      if (!(level.log_probs[i] <= kRounding)) {
        return absl::InvalidArgumentError(
            absl::StrCat(k, "-gram ", i, ": log-probability: expected at ",
                         "most 0, found ", level.log_probs[i]));
      }
      if (k < table.order() && !(level.backoffs[i] <= kMaxBackOff)) {
        return absl::InvalidArgumentError(
            absl::StrCat(k, "-gram ", i, ": back-off: expected at most ",
                         kMaxBackOff, ", found ", level.backoffs[i]));
      }
    }
  }
  return absl::OkStatus();
}

float StoredLogProb(float log_prob) { return std::min(log_prob, 0.0f); }

float StoredBackoff(UnseenRule rule, bool is_context, float backoff) {
  // Only kBackOff uses the back-off weight of an n-gram without children.
  return is_context || rule == UnseenRule::kBackOff ? backoff : 0.0f;
}

}  // namespace lmserve
