// SPDX-License-Identifier: Apache-2.0
#include "trainer/ngram/fit_counts.h"

#include <utility>

namespace lmserve {

std::vector<uint32_t> FitCounts(const NgramCounts& counts, int order,
                                Smoothing& smoothing,
                                std::vector<std::string>* notes) {
  std::vector<uint32_t> fitted = counts.levels[order - 1].counts;
  if (smoothing.adjusts_counts() && order < counts.order()) {
    fitted = AdjustedCounts(counts, order);
  }
  if (order == 1) fitted[counts.begin_sentence] = 0;
  CountsOfCounts n = {};
  for (uint32_t count : fitted) {
    if (count < n.size()) ++n[count];
  }
  std::string note = smoothing.Fit(order, n);
  if (!note.empty()) notes->push_back(std::move(note));
  return fitted;
}

}  // namespace lmserve
