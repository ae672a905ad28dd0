#include "trainer/mert.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <random>

namespace lmserve {
namespace {

using Vector = std::vector<double>;

// What is left of a feature, of what it was, where it follows from others.
constexpr double kDependent = 1e-10;

// Steps that are nearer to each other than this, of their size, are one: the
// sums of features would not tell them apart.
constexpr double kSameStep = 1e-9;

double Dot(absl::Span<const double> a, absl::Span<const double> b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

// The value of a candidate along a line of weights.
struct Line {
  double slope, intercept;
  size_t candidate;
};

// Of one list: from a step on another candidate is the best.
struct Change {
  double step;
  size_t list, before, after;
};

// The upper envelope from left to right: the lines that are highest somewhere.
// Of equal ones that of the first candidate.
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
      // The last one is hidden where this one meets the one before it first.
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

// Appends where the best candidate of a list changes; returns that of the
// steps far to the left.
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

// A step between two changes, that may have none to its left or right.
double Between(double left, double right) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  if (left == -kInfinity) return right - 1 - std::abs(right);
  if (right == kInfinity) return left + 1 + std::abs(left);
  return (left + right) / 2;
}

// Features as they differ from the mean of their list.
std::vector<Vector> Centred(const NbestList& list) {
  const size_t count = list.candidates[0].features.size();
  Vector mean(count);
  for (const NbestCandidate& candidate : list.candidates) {
    for (size_t f = 0; f < count; ++f) mean[f] += candidate.features[f];
  }
  std::vector<Vector> centred;
  for (const NbestCandidate& candidate : list.candidates) {
    Vector& row = centred.emplace_back(candidate.features);
    for (size_t f = 0; f < count; ++f) {
      row[f] -= mean[f] / static_cast<double>(list.candidates.size());
    }
  }
  return centred;
}

// How much the features vary together within the lists: sums of products.
std::vector<Vector> Covariance(const NbestLists& lists) {
  const size_t count = lists.feature_names.size();
  std::vector<Vector> sums(count, Vector(count));
  for (const NbestList& list : lists.lists) {
    for (const Vector& row : Centred(list)) {
      for (size_t f = 0; f < count; ++f) {
        for (size_t g = 0; g < count; ++g) sums[f][g] += row[f] * row[g];
      }
    }
  }
  return sums;
}

// A search from one point after the other.
class Mert {
 public:
  Mert(const NbestLists& lists, const NbestCounts& counts,
       const MertOptions& options)
      : lists_(lists),
        counts_(counts),
        options_(options),
        random_(options.seed),
        identifiable_(FindIdentifiable(lists)) {
    const std::vector<Vector> covariance = Covariance(lists);
    for (size_t f = 0; f < identifiable_.size(); ++f) {
      const double spread =
          std::sqrt(covariance[f][f] / static_cast<double>(lists.candidates()));
      unit_.push_back(identifiable_[f] ? 1 / spread : 0);
    }
  }

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
    return Normalized(best, best_score);
  }

 private:
  bool IsBetter(double a, double b) const {
    return counts_.metric().higher_is_better() ? a > b : a < b;
  }

  double Score(absl::Span<const double> weights) const {
    return counts_.Score(ChooseWeighted(lists_, weights));
  }

  // Normally distributed, in units in which all features vary as much.
  Vector Draw() {
    Vector drawn;
    for (double unit : unit_) drawn.push_back(unit * Gaussian());
    return drawn;
  }

  // Box and Muller's; that of the library differs between libraries.
  double Gaussian() {
    constexpr double kTwoPi = 6.283185307179586;
    const auto uniform = [this] {
      return (static_cast<double>(random_() >> 11) + 0.5) * 0x1p-53;
    };
    const double radius = std::sqrt(-2 * std::log(uniform()));
    return radius * std::cos(kTwoPi * uniform());
  }

  // Goes the best step of all directions, again and again.
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
    for (size_t f = 0; f < unit_.size(); ++f) {
      if (!identifiable_[f]) continue;
      directions.emplace_back(unit_.size())[f] = unit_[f];
    }
    for (int i = 0; i < options_.random_directions; ++i) {
      directions.push_back(Draw());
    }
    return directions;
  }

  // The same order of candidates by smaller numbers. Rounding may exchange two
  // that are as good as equal: then the numbers stay.
  Vector Normalized(const Vector& weights, double score) const {
    double sum = 0;
    for (double weight : weights) sum += std::abs(weight);
    if (sum == 0) return weights;
    Vector normalized = weights;
    for (double& weight : normalized) weight /= sum;
    return IsBetter(score, Score(normalized)) ? weights : normalized;
  }

  const NbestLists& lists_;
  const NbestCounts& counts_;
  const MertOptions options_;
  std::mt19937_64 random_;
  const std::vector<bool> identifiable_;
  Vector unit_;  // of each feature: by how much a weight changes at a time
};

}  // namespace

// Gram and Schmidt's: a feature whose part that is orthogonal to those before
// it is nothing follows from them.
std::vector<bool> FindIdentifiable(const NbestLists& lists) {
  std::vector<Vector> left = Covariance(lists);
  const size_t count = left.size();
  Vector variance;
  for (size_t f = 0; f < count; ++f) variance.push_back(left[f][f]);
  std::vector<bool> identifiable;
  for (size_t f = 0; f < count; ++f) {
    identifiable.push_back(variance[f] > 0 &&
                           left[f][f] > kDependent * variance[f]);
    if (!identifiable.back()) continue;
    const Vector row = left[f];
    for (size_t g = f + 1; g < count; ++g) {
      for (size_t h = f + 1; h < count; ++h) {
        left[g][h] -= row[g] * row[h] / row[f];
      }
    }
  }
  return identifiable;
}

double SearchLine(const NbestLists& lists, const NbestCounts& counts,
                  absl::Span<const double> weights,
                  absl::Span<const double> direction) {
  const Metric& metric = counts.metric();
  const auto better = [&](double a, double b) {
    return metric.higher_is_better() ? a > b : a < b;
  };
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
      if (better(score, best_score)) {
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
