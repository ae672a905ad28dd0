// SPDX-License-Identifier: Apache-2.0
#include "models/ngram/compact/value_quantizer.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <numeric>

namespace lmserve {
namespace {

// More rounds hardly reduce the error.
constexpr int kMaxRounds = 200;

// Different values, ascending, with sums over those before each of them.
struct WeightedValues {
  std::vector<float> values;
  std::vector<double> weights;  // sums of weights, one more than values
  std::vector<double> moments;  // sums of weight * value

  // Returns the mean of the values [begin, end). REQUIRES: begin < end.
  double Mean(size_t begin, size_t end) const {
    const double weight = weights[end] - weights[begin];
    const double first = values[begin], last = values[end - 1];
    // Small weights may be lost in the sums.
    if (weight <= 0) return (first + last) / 2;
    return std::clamp((moments[end] - moments[begin]) / weight, first, last);
  }
};

bool IsKept(float value) { return value == 0 || !std::isfinite(value); }

WeightedValues Collect(absl::Span<const float> values,
                       absl::Span<const float> weights) {
  std::vector<uint32_t> order(values.size());
  std::iota(order.begin(), order.end(), 0u);
  std::erase_if(order, [&](uint32_t i) { return IsKept(values[i]); });
  std::sort(order.begin(), order.end(),
            [&](uint32_t a, uint32_t b) { return values[a] < values[b]; });
  WeightedValues collected;
  collected.weights = collected.moments = {0};
  double weight = 0, moment = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    const float value = values[order[i]];
    weight += double{weights[order[i]]};
    moment += double{weights[order[i]]} * double{value};
    if (i + 1 < order.size() && values[order[i + 1]] == value) continue;
    collected.values.push_back(value);
    collected.weights.push_back(weight);
    collected.moments.push_back(moment);
  }
  return collected;
}

// Returns where the bins start, so that all have about the same share of the
// cube root of the density, which is the best for many bins.
std::vector<size_t> FirstBins(const WeightedValues& collected, size_t bins) {
  const size_t size = collected.values.size();
  std::vector<double> shares(size + 1);
  for (size_t i = 0; i < size; ++i) {
    const double weight = collected.weights[i + 1] - collected.weights[i];
    const double width =
        i + 1 < size ? double{collected.values[i + 1]} - collected.values[i]
                     : 0;
    shares[i + 1] = shares[i] + std::cbrt(weight * width * width);
  }
  std::vector<size_t> starts;
  for (size_t b = 0; b < bins; ++b) {
    const double share =
        shares[size] * static_cast<double>(b) / static_cast<double>(bins);
    const size_t start = std::upper_bound(shares.begin(), shares.end(), share) -
                         shares.begin() - 1;
    starts.push_back(std::max(start, starts.empty() ? 0 : starts.back() + 1));
  }
  // No bin is empty.
  for (size_t b = bins; b > 0; --b) {
    starts[b - 1] = std::min(starts[b - 1], size - (bins - (b - 1)));
  }
  return starts;
}

}  // namespace

std::vector<float> QuantizeValues(absl::Span<const float> values,
                                  absl::Span<const float> weights,
                                  size_t most) {
  std::vector<float> quantized(values.begin(), values.end());
  const WeightedValues collected = Collect(values, weights);
  const size_t size = collected.values.size();
  if (size <= most) return quantized;
  std::vector<size_t> starts = FirstBins(collected, most);
  std::vector<double> means(most);
  for (int round = 0; round < kMaxRounds; ++round) {
    for (size_t b = 0; b < most; ++b) {
      means[b] = collected.Mean(starts[b], b + 1 < most ? starts[b + 1] : size);
    }
    // A bin has the values that are nearest to its mean.
    bool changed = false;
    for (size_t b = 1; b < most; ++b) {
      const double middle = (means[b - 1] + means[b]) / 2;
      size_t start = std::lower_bound(collected.values.begin(),
                                      collected.values.end(), middle) -
                     collected.values.begin();
      start = std::clamp(start, starts[b - 1] + 1, size - (most - b));
      changed = changed || start != starts[b];
      starts[b] = start;
    }
    if (!changed) break;
  }
  std::vector<float> centers(means.begin(), means.end());
  std::vector<float> firsts;
  firsts.reserve(starts.size());
  for (size_t start : starts) firsts.push_back(collected.values[start]);
  for (float& value : quantized) {
    if (IsKept(value)) continue;
    value = centers[std::upper_bound(firsts.begin(), firsts.end(), value) -
                    firsts.begin() - 1];
  }
  return quantized;
}

}  // namespace lmserve
