#include "models/language_model.h"

#include <algorithm>
#include <vector>

namespace lmserve {

void TakeBest(absl::Span<const float> log_probs, absl::Span<ScoredWord> best) {
  std::vector<ScoredWord> words(log_probs.size());
  for (WordId w = 0; w < words.size(); ++w) words[w] = {w, log_probs[w]};
  std::partial_sort(words.begin(), words.begin() + best.size(), words.end(),
                    Likelier);
  std::copy_n(words.begin(), best.size(), best.begin());
}

void LanguageModel::TopK(absl::Span<const std::byte* const> states, size_t k,
                         absl::Span<ScoredWord> best) const {
  std::vector<float> log_probs(vocabulary().size());
  for (size_t i = 0; i < states.size(); ++i) {
    Distribution(states.subspan(i, 1), log_probs.data());
    TakeBest(log_probs, best.subspan(i * k, k));
  }
}

}  // namespace lmserve
