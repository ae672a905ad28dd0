// SPDX-License-Identifier: Apache-2.0
#include "trainer/tuning/nbest_features.h"

#include <cmath>
#include <cstddef>

namespace lmserve {
namespace {

using Vector = std::vector<double>;

// A feature depends on others if its orthogonal part has less than this
// fraction of its variance.
constexpr double kDependent = 1e-10;

// Returns the features of the candidates minus their means over the list.
std::vector<Vector> Centered(const NbestList& list) {
  const size_t count = list.candidates[0].features.size();
  Vector mean(count);
  for (const NbestCandidate& candidate : list.candidates) {
    for (size_t f = 0; f < count; ++f) mean[f] += candidate.features[f];
  }
  std::vector<Vector> centered;
  for (const NbestCandidate& candidate : list.candidates) {
    Vector& row = centered.emplace_back(candidate.features);
    for (size_t f = 0; f < count; ++f) {
      row[f] -= mean[f] / static_cast<double>(list.candidates.size());
    }
  }
  return centered;
}

// Returns the sums of products of the centered features over all lists.
std::vector<Vector> Covariance(const NbestLists& lists) {
  const size_t count = lists.feature_names.size();
  std::vector<Vector> sums(count, Vector(count));
  for (const NbestList& list : lists.lists) {
    for (const Vector& row : Centered(list)) {
      for (size_t f = 0; f < count; ++f) {
        for (size_t g = 0; g < count; ++g) sums[f][g] += row[f] * row[g];
      }
    }
  }
  return sums;
}

// Uses the Gram-Schmidt process: a feature depends on the features before it if
// its part that is orthogonal to them is 0.
std::vector<bool> AreIdentifiable(std::vector<Vector> covariance) {
  const size_t count = covariance.size();
  std::vector<Vector>& left = covariance;
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

}  // namespace

std::vector<bool> FindIdentifiable(const NbestLists& lists) {
  return AreIdentifiable(Covariance(lists));
}

std::vector<double> FindUnits(const NbestLists& lists) {
  const std::vector<Vector> covariance = Covariance(lists);
  const std::vector<bool> identifiable = AreIdentifiable(covariance);
  Vector units;
  for (size_t f = 0; f < identifiable.size(); ++f) {
    const double spread =
        std::sqrt(covariance[f][f] / static_cast<double>(lists.candidates()));
    units.push_back(identifiable[f] ? 1 / spread : 0);
  }
  return units;
}

std::vector<double> NormalizeWeights(const NbestLists& lists,
                                     const NbestCounts& counts,
                                     absl::Span<const double> weights) {
  const auto score = [&](absl::Span<const double> w) {
    return counts.Score(ChooseWeighted(lists, w));
  };
  Vector given(weights.begin(), weights.end());
  double sum = 0;
  for (double weight : given) sum += std::abs(weight);
  if (sum == 0) return given;
  Vector normalized = given;
  for (double& weight : normalized) weight /= sum;
  return counts.metric().IsBetter(score(given), score(normalized)) ? given
                                                                   : normalized;
}

}  // namespace lmserve
