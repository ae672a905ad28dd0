// SPDX-License-Identifier: Apache-2.0
#include "models/score_gaps.h"

#include <vector>

namespace lmserve {

void ScoreGaps(const BidirectionalModel& model, absl::Span<const WordId> words,
               size_t begin, absl::Span<float> log_probs) {
  const size_t count = log_probs.size();
  std::vector<BidirectionalModel::Gap> gaps;
  for (size_t t = begin; t < begin + count; ++t) {
    gaps.push_back({words.first(t), words.subspan(t + 1)});
  }
  std::vector<float> rated(count * count);
  model.Rate(gaps, words.subspan(begin, count), rated.data());
  for (size_t i = 0; i < count; ++i) log_probs[i] = rated[i * count + i];
}

}  // namespace lmserve
