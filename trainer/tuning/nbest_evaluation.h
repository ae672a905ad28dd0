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

// Of each list the candidate that was chosen.
using NbestChoice = std::vector<size_t>;

// What each candidate of each list counts in a metric.
class NbestCounts {
 public:
  // The metric must outlive it. REQUIRES: references for each list.
  NbestCounts(const NbestLists& lists,
              absl::Span<const std::vector<std::string>> references,
              const Metric& metric);

  const Metric& metric() const { return metric_; }
  size_t size() const { return counts_.size(); }
  absl::Span<const Metric::Counts> of_list(size_t i) const {
    return counts_[i];
  }

  // What the chosen candidates are worth together.
  double Score(const NbestChoice& choice) const;

  // The same with sentences[i] in place of sentence i, for a bootstrap sample.
  double ScoreOf(const NbestChoice& choice,
                 absl::Span<const size_t> sentences) const;

 private:
  const Metric& metric_;
  std::vector<std::vector<Metric::Counts>> counts_;  // by list
};

// The first of each list; one drawn from each, the same for the same seed.
NbestChoice ChooseFirst(const NbestLists& lists);
NbestChoice ChooseRandom(const NbestLists& lists, uint64_t seed);

// The best of each list by the weighted sum of its features; of equals that
// which comes first. A weight a name of lists.feature_names.
NbestChoice ChooseWeighted(const NbestLists& lists,
                           absl::Span<const double> weights);

// Of each list what is most like all its candidates (ExpectedUtilities()), each
// counted by that sum.
NbestChoice ChooseMinimumRisk(const NbestLists& lists,
                              absl::Span<const double> weights, double scale,
                              Utility utility);

// About the best that can be chosen: the best of each list alone, then single
// candidates exchanged as long as the whole gains by it.
NbestChoice ChooseOracle(const NbestCounts& counts);

// A choice with what it is worth, told by paired bootstrap resampling (Koehn
// 2004) as sacrebleu does it.
struct NbestRow {
  std::string name;
  double score;
  double mean;      // of the samples
  double interval;  // 95 % of them are at most so far from it
  double p_value;   // of the difference to the first row; 1 there
};

// Compares choices, of which the first is the one to compare with. The same for
// the same seed.
std::vector<NbestRow> CompareChoices(
    const NbestCounts& counts,
    absl::Span<const std::pair<std::string, NbestChoice>> choices,
    size_t samples, uint64_t seed);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_TUNING_NBEST_EVALUATION_H_
