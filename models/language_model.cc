// SPDX-License-Identifier: Apache-2.0
#include "models/language_model.h"

#include <algorithm>
#include <vector>

#include "models/distribution.h"

namespace lmserve {
namespace {

// Number of distributions computed at once. Some models compute several in
// little more time than one.
constexpr size_t kRowsPerBlock = 16;

}  // namespace

void LanguageModel::TopK(absl::Span<const std::byte* const> states, size_t k,
                         absl::Span<ScoredWord> best) const {
  const size_t size = vocabulary().size();
  std::vector<float> log_probs(std::min(states.size(), kRowsPerBlock) * size);
  for (size_t i = 0; i < states.size(); ++i) {
    if (i % kRowsPerBlock == 0) {
      Distribution(states.subspan(i, kRowsPerBlock), log_probs.data());
    }
    TakeBest(
        absl::MakeConstSpan(log_probs).subspan(i % kRowsPerBlock * size, size),
        best.subspan(i * k, k));
  }
}

}  // namespace lmserve
