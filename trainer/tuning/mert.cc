// SPDX-License-Identifier: Apache-2.0
#include "trainer/tuning/mert.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <random>

#include "trainer/tuning/nbest_features.h"

namespace lmserve {
namespace {

using Vector = std::vector<double>;

// Steps whose relative difference is smaller than this are treated as equal,
// because rounding does not let the scores distinguish them.
constexpr double kSameStep = 1e-9;

double Dot(absl::Span<const double> a, absl::Span<const double> b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

// The score of a candidate as a function of the step.
struct Line {
  double slope, intercept;
  size_t candidate;
};

// From this step on, `after` is the best candidate of a list, instead of
// `before`.
struct Change {
  double step;
  size_t list, before, after;
};

// Returns the upper envelope from left to right: the lines that are the highest
// at some step. Of equal lines, the one of the first candidate is used.
std::vector<Line> UpperEnvelope(std::vector<Line> lines) {
  std::sort(lines.begin(), lines.end(), [](const Line& a, const Line& b) {
    if (a.slope != b.slope) return a.slope < b.slope;
    if (a.intercept != b.intercept) return a.intercept > b.intercept;
    return a.candidate < b.candidate;
  });
  const auto meet = [](const Line& a, const Line& b) {
    return (a.intercept - b.intercept) / (b.slope - a.slope);
  };
  std::vector<Line> envelope;
  for (const Line& line : lines) {
    if (!envelope.empty() && envelope.back().slope == line.slope) continue;
    while (!envelope.empty()) {
      // The last line is hidden if the new line crosses the one before it
      // first.
      const bool hidden =
          envelope.size() > 1 &&
          meet(envelope[envelope.size() - 2], line) <=
              meet(envelope[envelope.size() - 2], envelope.back());
      if (!hidden) break;
      envelope.pop_back();
    }
    envelope.push_back(line);
  }
  return envelope;
}

// Appends the steps at which the best candidate of a list changes. Returns the
// best candidate to the left of all of them.
size_t AddChanges(const NbestList& list, size_t number,
                  absl::Span<const double> weights,
                  absl::Span<const double> direction,
                  std::vector<Change>* changes) {
  std::vector<Line> lines;
  for (size_t c = 0; c < list.candidates.size(); ++c) {
    const Vector& features = list.candidates[c].features;
    lines.push_back({Dot(direction, features), Dot(weights, features), c});
  }
  const std::vector<Line> envelope = UpperEnvelope(std::move(lines));
  for (size_t i = 1; i < envelope.size(); ++i) {
    const Line &a = envelope[i - 1], &b = envelope[i];
    changes->push_back({(a.intercept - b.intercept) / (b.slope - a.slope),
                        number, a.candidate, b.candidate});
  }
  return envelope.front().candidate;
}

// Returns a step between two changes, either of which may be infinite.
double Between(double left, double right) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (left == -kInfinity) return right - 1 - std::abs(right);
  if (right == kInfinity) return left + 1 + std::abs(left);
  return (left + right) / 2;
}

// A search from several starting points.
class Mert {
 public:
  Mert(const NbestLists& lists, const NbestCounts& counts,
       const MertOptions& options)
      : lists_(lists),
        counts_(counts),
        options_(options),
        random_(options.seed),
        units_(FindUnits(lists)) {}

  Vector Run(absl::Span<const double> start) {
    Vector best(start.begin(), start.end());
    double best_score = Score(best);
    for (int i = 0; i <= options_.restarts; ++i) {
      Vector weights = i == 0 ? best : Draw();
      const double score = Climb(&weights);
      if (!IsBetter(score, best_score)) continue;
      best = weights;
      best_score = score;
    }
    return NormalizeWeights(lists_, counts_, best);
  }

 private:
  bool IsBetter(double a, double b) const {
    return counts_.metric().IsBetter(a, b);
  }

  double Score(absl::Span<const double> weights) const {
    return counts_.Score(ChooseWeighted(lists_, weights));
  }

  // Returns normally distributed weights, scaled by units_.
  Vector Draw() {
    Vector drawn;
    for (double unit : units_) drawn.push_back(unit * Gaussian());
    return drawn;
  }

  // Uses the Box-Muller transform, because the results of
  // std::normal_distribution differ between standard libraries.
  double Gaussian() {
    constexpr double kTwoPi = 6.283185307179586;
    const auto uniform = [this] {
      return (static_cast<double>(random_() >> 11) + 0.5) * 0x1p-53;
    };
    const double radius = std::sqrt(-2 * std::log(uniform()));
    return radius * std::cos(kTwoPi * uniform());
  }

  // Repeats the best step of all directions until no step is better.
  double Climb(Vector* weights) {
    double score = Score(*weights);
    while (true) {
      Vector best = *weights;
      double best_score = score;
      for (const Vector& direction : Directions()) {
        const double step = SearchLine(lists_, counts_, *weights, direction);
        if (step == 0) continue;
        Vector stepped = *weights;
        for (size_t f = 0; f < stepped.size(); ++f) {
          stepped[f] += step * direction[f];
        }
        const double stepped_score = Score(stepped);
        if (!IsBetter(stepped_score, best_score)) continue;
        best = stepped;
        best_score = stepped_score;
      }
      if (!IsBetter(best_score, score)) return score;
      *weights = best;
      score = best_score;
    }
  }

  std::vector<Vector> Directions() {
    std::vector<Vector> directions;
    for (size_t f = 0; f < units_.size(); ++f) {
      if (units_[f] == 0) continue;
      directions.emplace_back(units_.size())[f] = units_[f];
    }
    for (int i = 0; i < options_.random_directions; ++i) {
      directions.push_back(Draw());
    }
    return directions;
  }

  const NbestLists& lists_;
  const NbestCounts& counts_;
  const MertOptions options_;
  std::mt19937_64 random_;
  const Vector units_;  // FindUnits() of the lists
};

}  // namespace

double SearchLine(const NbestLists& lists, const NbestCounts& counts,
                  absl::Span<const double> weights,
                  absl::Span<const double> direction) {
  const Metric& metric = counts.metric();
  std::vector<Change> changes;
  Metric::Counts sum;
  for (size_t i = 0; i < lists.lists.size(); ++i) {
    const size_t candidate =
        AddChanges(lists.lists[i], i, weights, direction, &changes);
    AddCounts(counts.of_list(i)[candidate], &sum);
  }
  std::sort(changes.begin(), changes.end(),
            [](const Change& a, const Change& b) { return a.step < b.step; });
  double best_step = 0;
  double best_score = counts.Score(ChooseWeighted(lists, weights));
  double left = -std::numeric_limits<double>::infinity();
  for (size_t i = 0; i <= changes.size(); ++i) {
    const double right = i < changes.size()
                             ? changes[i].step
                             : std::numeric_limits<double>::infinity();
    const bool is_point =
        std::isfinite(left) && right - left <= kSameStep * std::abs(left);
    if (!is_point) {
      const double score = metric.Score(sum);
      if (metric.IsBetter(score, best_score)) {
        best_score = score;
        best_step = Between(left, right);
      }
    }
    if (i == changes.size()) break;
    const auto list = counts.of_list(changes[i].list);
    const Metric::Counts& before = list[changes[i].before];
    const Metric::Counts& after = list[changes[i].after];
    for (size_t k = 0; k < sum.size(); ++k) sum[k] += after[k] - before[k];
    left = right;
  }
  return best_step;
}

std::vector<double> TuneByMert(const NbestLists& lists,
                               const NbestCounts& counts,
                               absl::Span<const double> start,
                               const MertOptions& options) {
  return Mert(lists, counts, options).Run(start);
}

}  // namespace lmserve
