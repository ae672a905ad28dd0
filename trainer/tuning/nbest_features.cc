#include "trainer/tuning/nbest_features.h"

#include <cmath>
#include <cstddef>

namespace lmserve {
namespace {

using Vector = std::vector<double>;

// What is left of a feature, of what it was, where it follows from others.
constexpr double kDependent = 1e-10;

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

// Gram and Schmidt's: a feature whose part that is orthogonal to those before
// it is nothing follows from them.
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
  const Vector given(weights.begin(), weights.end());
  double sum = 0;
  for (double weight : given) sum += std::abs(weight);
  if (sum == 0) return given;
  Vector normalized = given;
  for (double& weight : normalized) weight /= sum;
  return counts.metric().IsBetter(score(given), score(normalized)) ? given
                                                                   : normalized;
}

}  // namespace lmserve
