// SPDX-License-Identifier: Apache-2.0
#include "trainer/neural/optimizer.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"

namespace lmserve {
namespace {

constexpr double kBeta1 = 0.9, kBeta2 = 0.999;
constexpr float kEpsilon = 1e-8f;
constexpr size_t kSkippedTerms = 160;

}  // namespace

absl::StatusOr<OptimizerKind> ParseOptimizer(absl::string_view name) {
  if (name == "sgd") return OptimizerKind::kSgd;
  if (name == "adam") return OptimizerKind::kAdam;
  return absl::InvalidArgumentError(
      absl::StrCat("optimizer: expected sgd or adam, found '", name, "'"));
}

Optimizer::Optimizer(OptimizerKind kind, double weight_decay,
                     const ParameterLayout& layout)
    : kind_(kind), weight_decay_(weight_decay), layout_(layout) {
  if (kind == OptimizerKind::kAdam) {
    moments_.assign(2, std::vector<float>(layout.size()));
  }
}

double Optimizer::SkippedRate(double learning_rate, uint64_t step) {
  const auto t = static_cast<double>(step);
  return learning_rate * std::sqrt(1 - std::pow(kBeta2, t)) /
         (1 - std::pow(kBeta1, t));
}

void Optimizer::Skip(uint64_t last, absl::Span<const double> rates,
                     size_t begin, size_t end, float* values) {
  if (kind_ != OptimizerKind::kAdam) return;
  const double ratio = kBeta1 / std::sqrt(kBeta2);
  double power = 1, sum = 0;
  for (double rate : rates.subspan(0, kSkippedTerms)) {
    power *= ratio;
    sum += power * rate;
  }
  const auto rate = static_cast<float>(sum);
  const auto count = static_cast<double>(rates.size());
  const auto b1 = static_cast<float>(std::pow(kBeta1, count));
  const auto b2 = static_cast<float>(std::pow(kBeta2, count));
  const auto epsilon = static_cast<float>(
      kEpsilon *
      std::sqrt(1 - std::pow(kBeta2, static_cast<double>(last + 1))));
  float* mean = moments_[0].data();
  float* square = moments_[1].data();
  for (size_t i = begin; i < end; ++i) {
    values[i] -= rate * mean[i] / (std::sqrt(square[i]) + epsilon);
    mean[i] *= b1;
    square[i] *= b2;
  }
}

void Optimizer::Step(const Rate& rate, const float* gradients, size_t begin,
                     size_t end, float* values) {
  if (weight_decay_ > 0) Decay(rate, begin, end, values);
  if (kind_ == OptimizerKind::kSgd) {
    StepSgd(rate, gradients, begin, end, values);
  } else {
    StepAdam(rate, gradients, begin, end, values);
  }
}

void Optimizer::StepSgd(const Rate& rate, const float* gradients, size_t begin,
                        size_t end, float* values) {
  const auto factor =
      static_cast<float>(rate.learning_rate * rate.gradient_factor);
  for (size_t i = begin; i < end; ++i) values[i] -= factor * gradients[i];
}

void Optimizer::StepAdam(const Rate& rate, const float* gradients, size_t begin,
                         size_t end, float* values) {
  const auto step = static_cast<double>(rate.step);
  const auto scale1 =
      static_cast<float>(rate.learning_rate / (1 - std::pow(kBeta1, step)));
  const auto scale2 = static_cast<float>(1 / (1 - std::pow(kBeta2, step)));
  const auto factor = static_cast<float>(rate.gradient_factor);
  const auto b1 = static_cast<float>(kBeta1);
  const auto b2 = static_cast<float>(kBeta2);
  // 1 - b2 would differ from 1 - kBeta2 by 1e-5 of it.
  const auto c1 = static_cast<float>(1 - kBeta1);
  const auto c2 = static_cast<float>(1 - kBeta2);
  float* mean = moments_[0].data();
  float* square = moments_[1].data();
  for (size_t i = begin; i < end; ++i) {
    const float g = factor * gradients[i];
    mean[i] = b1 * mean[i] + c1 * g;
    square[i] = b2 * square[i] + c2 * g * g;
    values[i] -= scale1 * mean[i] / (std::sqrt(scale2 * square[i]) + kEpsilon);
  }
}

void Optimizer::Decay(const Rate& rate, size_t begin, size_t end,
                      float* values) const {
  const auto kept = static_cast<float>(1 - rate.learning_rate * weight_decay_);
  for (const ParameterLayout::Parameter& p : layout_.parameters()) {
    if (!p.is_matrix) continue;
    const size_t last = std::min(end, p.begin + p.size());
    for (size_t i = std::max(begin, p.begin); i < last; ++i) values[i] *= kept;
  }
}

}  // namespace lmserve
