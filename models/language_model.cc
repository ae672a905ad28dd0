#include "models/language_model.h"

#include <algorithm>
#include <vector>

namespace lmserve {
namespace {

// Distributions in memory at once. Some models make several in little more time
// than one.
constexpr size_t kRows = 16;

}  // namespace

void LanguageModel::TopK(absl::Span<const std::byte* const> states, size_t k,
                         absl::Span<ScoredWord> best) const {
  const size_t size = vocabulary().size();
  std::vector<float> log_probs(std::min(states.size(), kRows) * size);
  std::vector<ScoredWord> words(size);
  for (size_t i = 0; i < states.size(); ++i) {
    if (i % kRows == 0) {
      Distribution(states.subspan(i, kRows), log_probs.data());
    }
    const float* row = log_probs.data() + i % kRows * size;
    for (WordId w = 0; w < size; ++w) words[w] = {w, row[w]};
    std::partial_sort(words.begin(), words.begin() + k, words.end(), Likelier);
    std::copy_n(words.begin(), k, best.begin() + i * k);
  }
}

}  // namespace lmserve
