// SPDX-License-Identifier: Apache-2.0
#include "models/language_model.h"

#include <algorithm>
#include <vector>

namespace lmserve {
namespace {

// Number of distributions computed at once. Some models compute several in
// little more time than one.
constexpr size_t kRowsPerBlock = 16;

}  // namespace

void TakeBest(absl::Span<const float> log_probs, absl::Span<ScoredWord> best) {
  std::vector<ScoredWord> words(log_probs.size());
  for (WordId w = 0; w < words.size(); ++w) words[w] = {w, log_probs[w]};
  std::partial_sort(words.begin(), words.begin() + best.size(), words.end(),
                    Likelier);
  std::copy_n(words.begin(), best.size(), best.begin());
}

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
