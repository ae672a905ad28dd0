#include "models/language_model.h"

#include <algorithm>
#include <vector>

namespace lmserve {

void LanguageModel::TopK(absl::Span<const std::byte* const> states, size_t k,
                         absl::Span<ScoredWord> best) const {
  const size_t size = vocabulary().size();
  std::vector<float> log_probs(size);
  std::vector<ScoredWord> words(size);
  for (size_t i = 0; i < states.size(); ++i) {
    Distribution(states.subspan(i, 1), log_probs.data());
    for (WordId w = 0; w < size; ++w) words[w] = {w, log_probs[w]};
    std::partial_sort(words.begin(), words.begin() + k, words.end(), Likelier);
    std::copy_n(words.begin(), k, best.begin() + i * k);
  }
}

}  // namespace lmserve
