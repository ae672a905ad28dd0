// SPDX-License-Identifier: Apache-2.0
#include "trainer/ngram/estimate.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "trainer/ngram/fit_counts.h"

namespace lmserve {
namespace {

// A smaller leftover probability is a rounding error.
constexpr double kRoundingError = 1e-12;

class Estimator {
 public:
  Estimator(const NgramCounts& counts, const EstimateOptions& options,
            Smoothing& smoothing, uint64_t vocabulary)
      : counts_(counts),
        options_(options),
        smoothing_(smoothing),
        vocabulary_(static_cast<double>(vocabulary)) {}

  Estimate Run() {
    NgramTable& table = estimate_.table;
    table.rule = Rule();
    table.levels.resize(counts_.order());
    if (table.rule == UnseenRule::kStupid) {
      table.log_alpha = std::log(options_.smoothing.alpha);
    }
    EstimateUnigrams();
    for (int k = 2; k <= counts_.order(); ++k) EstimateLevel(k);
    return std::move(estimate_);
  }

 private:
  UnseenRule Rule() const {
    switch (smoothing_.leftover()) {
      case Leftover::kFloor:
        return UnseenRule::kFloor;
      case Leftover::kStupid:
        return UnseenRule::kStupid;
      default:
        return UnseenRule::kBackOff;
    }
  }

  bool Keeps(int k, uint32_t ngram) const {
    if (options_.prune.empty()) return true;
    const size_t last = options_.prune.size() - 1;
    return counts_.levels[k - 1].counts[ngram] >
           options_.prune[std::min<size_t>(k - 1, last)];
  }

  // Estimates order 1, whose lower order is the uniform distribution. <s> is
  // never predicted, so it has probability 0.
  void EstimateUnigrams() {
    const std::vector<uint32_t> counts =
        FitCounts(counts_, 1, smoothing_, &estimate_.notes);
    const uint32_t begin = counts_.begin_sentence;
    std::vector<uint32_t> events = counts;
    events.erase(events.begin() + begin);
    std::vector<double> shares(events.size());
    smoothing_.Share(1, events, absl::MakeSpan(shares));
    shares.insert(shares.begin() + begin, 0);

    const double leftover = Leftover(shares);
    double unseen = vocabulary_;
    for (double share : shares) unseen -= share > 0;
    below_.assign(shares.size(), 0);
    for (uint32_t w = 0; w < shares.size(); ++w) {
      if (w == begin) continue;
      below_[w] = UnigramProbability(shares[w], leftover, unseen);
    }
    NgramLevel& level = estimate_.table.levels[0];
    level.words = counts_.levels[0].words;
    for (double p : below_) level.log_probs.push_back(std::log(p));
    placed_.resize(level.size());
    std::iota(placed_.begin(), placed_.end(), 0u);
  }

  double UnigramProbability(double share, double leftover,
                            double unseen) const {
    switch (smoothing_.leftover()) {
      case Leftover::kInterpolate:
        return share + leftover / vocabulary_;
      case Leftover::kBackOff:
        if (unseen == 0) return share / (1 - leftover);
        return share > 0 ? share : leftover / unseen;
      case Leftover::kFloor:
        return share;
      case Leftover::kStupid:
        return share > 0 ? share : options_.smoothing.alpha / vocabulary_;
    }
    return 0;
  }

  static double Leftover(absl::Span<const double> shares) {
    const double leftover =
        1 - std::accumulate(shares.begin(), shares.end(), 0.0);
    return leftover < kRoundingError ? 0 : leftover;
  }

  // Estimates the n-grams of order k, context by context.
  void EstimateLevel(int k) {
    const std::vector<uint32_t> counts =
        FitCounts(counts_, k, smoothing_, &estimate_.notes);
    const std::vector<uint32_t>& children = counts_.levels[k - 2].children;
    NgramLevel& contexts = estimate_.table.levels[k - 2];
    std::vector<double> probabilities(counts.size());
    std::vector<uint32_t> placed;
    for (uint32_t context : placed_) {
      contexts.children.push_back(placed.size());
      const double backoff =
          EstimateContext(k, children[context], children[context + 1], counts,
                          absl::MakeSpan(probabilities), placed);
      contexts.backoffs.push_back(std::log(backoff));
    }
    contexts.children.push_back(placed.size());
    NgramLevel& level = estimate_.table.levels[k - 1];
    for (uint32_t ngram : placed) {
      level.words.push_back(counts_.levels[k - 1].words[ngram]);
      level.log_probs.push_back(std::log(probabilities[ngram]));
    }
    below_ = std::move(probabilities);
    placed_ = std::move(placed);
  }

  // Estimates the n-grams [begin, end) of order k, which have the same context.
  // Appends the n-grams that are kept to `placed` and returns the back-off
  // weight of the context.
  double EstimateContext(int k, uint32_t begin, uint32_t end,
                         absl::Span<const uint32_t> counts,
                         absl::Span<double> probabilities,
                         std::vector<uint32_t>& placed) {
    if (begin == end) return 1;
    shares_.resize(end - begin);
    smoothing_.Share(k, counts.subspan(begin, end - begin),
                     absl::MakeSpan(shares_));
    const size_t first = placed.size();
    double leftover = 1, seen_below = 0;
    const std::vector<uint32_t>& suffixes = counts_.levels[k - 1].suffixes;
    for (uint32_t i = begin; i < end; ++i) {
      if (!Keeps(k, i)) continue;
      placed.push_back(i);
      probabilities[i] = shares_[i - begin];
      leftover -= shares_[i - begin];
      seen_below += below_[suffixes[i]];
    }
    if (leftover < kRoundingError) leftover = 0;
    switch (smoothing_.leftover()) {
      case Leftover::kInterpolate:
        for (size_t i = first; i < placed.size(); ++i) {
          probabilities[placed[i]] += leftover * below_[suffixes[placed[i]]];
        }
        return leftover;
      case Leftover::kBackOff:
        return BackOff(leftover, 1 - seen_below,
                       absl::MakeConstSpan(placed).subspan(first),
                       probabilities);
      case Leftover::kFloor:
        return Floor(leftover, vocabulary_ - (placed.size() - first));
      case Leftover::kStupid:
        return 1;  // the model uses its alpha instead
    }
    return 1;
  }

  // Returns the back-off weight with which the unseen words together get the
  // leftover; unseen_below is their probability in the lower order. If there
  // are no unseen words, distributes the leftover over the kept n-grams in
  // proportion to their probabilities.
  static double BackOff(double leftover, double unseen_below,
                        absl::Span<const uint32_t> kept,
                        absl::Span<double> probabilities) {
    if (leftover == 0) return 0;
    if (unseen_below > kRoundingError) return leftover / unseen_below;
    for (uint32_t ngram : kept) probabilities[ngram] /= 1 - leftover;
    return 1;
  }

  // Returns the probability of each unseen word. The result is not used if
  // there are none.
  static double Floor(double leftover, double unseen) {
    return unseen > 0 ? leftover / unseen : 1;
  }

  const NgramCounts& counts_;
  const EstimateOptions& options_;
  Smoothing& smoothing_;
  const double vocabulary_;
  Estimate estimate_;
  std::vector<double> below_;     // P of the n-grams of the lower order
  std::vector<uint32_t> placed_;  // the kept n-grams of the lower order
  std::vector<double> shares_;
};

}  // namespace

absl::Status CheckPruning(absl::Span<const uint32_t> prune) {
  for (size_t i = 1; i < prune.size(); ++i) {
    if (prune[i] < prune[i - 1]) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--prune: expected thresholds that do not decrease, found ",
          prune[i - 1], " before ", prune[i]));
    }
  }
  if (!prune.empty() && prune[0] != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("--prune: expected 0 for order 1, found ", prune[0],
                     "; use --min-count or --vocabulary to limit the words"));
  }
  return absl::OkStatus();
}

absl::StatusOr<Estimate> EstimateModel(const NgramCounts& counts,
                                       const EstimateOptions& options) {
  if (absl::Status status = CheckPruning(options.prune); !status.ok()) {
    return status;
  }
  const uint64_t vocabulary = counts.levels[0].size() - 1;
  SmoothingOptions smoothing_options = options.smoothing;
  smoothing_options.vocabulary = vocabulary;
  absl::StatusOr<std::unique_ptr<Smoothing>> smoothing =
      MakeSmoothing(smoothing_options);
  if (!smoothing.ok()) return smoothing.status();
  return Estimator(counts, options, **smoothing, vocabulary).Run();
}

}  // namespace lmserve
