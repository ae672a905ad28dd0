// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_TUNING_NBEST_EVALUATION_H_
#define LMSERVE_TRAINER_TUNING_NBEST_EVALUATION_H_

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "reranking/bayes_risk.h"
#include "reranking/metric.h"
#include "trainer/tuning/nbest_lists.h"

namespace lmserve {

// The index of the chosen candidate of each list.
using NbestChoice = std::vector<size_t>;

// The counts of each candidate of each list in a metric. Immutable.
class NbestCounts {
 public:
  // The metric must outlive the object. REQUIRES: each list has references.
  NbestCounts(const NbestLists& lists,
              absl::Span<const std::vector<std::string>> references,
              const Metric& metric);

  const Metric& metric() const { return metric_; }
  size_t size() const { return counts_.size(); }
  absl::Span<const Metric::Counts> of_list(size_t i) const {
    return counts_[i];
  }

  // Returns the score of the chosen candidates as a corpus.
  double Score(const NbestChoice& choice) const;

  // Returns the score of the chosen candidates of the given sentences, which
  // may repeat: a bootstrap sample.
  double ScoreOf(const NbestChoice& choice,
                 absl::Span<const size_t> sentences) const;

 private:
  const Metric& metric_;
  std::vector<std::vector<Metric::Counts>> counts_;  // by list
};

// Chooses the first candidate of each list.
NbestChoice ChooseFirst(const NbestLists& lists);
// Chooses a random candidate of each list. The same seed gives the same choice.
NbestChoice ChooseRandom(const NbestLists& lists, uint64_t seed);

// Chooses the candidate of each list with the largest weighted sum of features,
// the first one of equal candidates. There is one weight per feature.
NbestChoice ChooseWeighted(const NbestLists& lists,
                           absl::Span<const double> weights);

// Chooses the candidate of each list with the largest expected utility
// (ExpectedUtilities()); the weighted sums of features are the scores.
NbestChoice ChooseMinimumRisk(const NbestLists& lists,
                              absl::Span<const double> weights, double scale,
                              Utility utility);

// Approximates the best choice: starts with the best candidate of each list by
// the sentence score, then changes single candidates while the corpus score
// improves.
NbestChoice ChooseOracle(const NbestCounts& counts);

// A choice and its score, with paired bootstrap resampling (Koehn 2004) as in
// sacrebleu.
struct NbestRow {
  std::string name;
  double score;
  double mean;      // of the scores of the samples
  double interval;  // half the width of the 95 % interval
  double p_value;   // of the difference to the first row
};

// Compares choices with the first one, whose p-value is 1. The same seed gives
// the same result.
std::vector<NbestRow> CompareChoices(
    const NbestCounts& counts,
    absl::Span<const std::pair<std::string, NbestChoice>> choices,
    size_t samples, uint64_t seed);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_TUNING_NBEST_EVALUATION_H_
