// SPDX-License-Identifier: Apache-2.0
#include "trainer/evaluation/cache_choice.h"

#include <cmath>

#include "models/language_model.h"
#include "models/mixture/mixture_kernel.h"

namespace lmserve {
namespace {

// Returns ln P of the words that are possible under a mixture.
double LogProb(absl::Span<const std::vector<float>> log_probs,
               absl::Span<const double> weights) {
  const size_t words = log_probs[0].size();
  std::vector<float> mixed;
  for (const std::vector<float>& member : log_probs) {
    mixed.insert(mixed.end(), member.begin(), member.end());
  }
  MixLogProbs(weights, mixed.data(), words, mixed.data());
  double sum = 0;
  for (size_t t = 0; t < words; ++t) {
    if (mixed[t] != kImpossible) sum += mixed[t];
  }
  return sum;
}

}  // namespace

std::vector<size_t> ChooseCaches(absl::Span<const std::vector<float>> log_probs,
                                 absl::Span<const std::vector<size_t>> groups,
                                 absl::Span<const double> weights,
                                 const FitOptions& options) {
  std::vector<size_t> chosen;
  for (const std::vector<size_t>& group : groups) chosen.push_back(group[0]);
  const auto quality = [&] {
    std::vector<std::vector<float>> parts = {log_probs[0]};
    for (size_t candidate : chosen) parts.push_back(log_probs[candidate]);
    return weights.empty() ? FitMixtureWeights(parts, options).log_prob
                           : LogProb(parts, weights);
  };
  double best = quality();
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t g = 0; g < groups.size(); ++g) {
      size_t best_candidate = chosen[g];
      for (size_t candidate : groups[g]) {
        if (candidate == best_candidate) continue;
        chosen[g] = candidate;
        const double found = quality();
        if (!(found > best)) continue;
        best = found;
        best_candidate = candidate;
        changed = true;
      }
      chosen[g] = best_candidate;
    }
    changed = changed && groups.size() > 1;
  }
  return chosen;
}

}  // namespace lmserve
