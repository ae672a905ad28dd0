// SPDX-License-Identifier: Apache-2.0
#include "trainer/ngram/smoothing.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace lmserve {
namespace {

double Sum(absl::Span<const uint32_t> counts) {
  return std::accumulate(counts.begin(), counts.end(), 0.0);
}

// P(w | h) = count(h w) / count(h).
class MaximumLikelihood : public Smoothing {
 public:
  Leftover leftover() const override { return Leftover::kBackOff; }

  void Share(int /*order*/, absl::Span<const uint32_t> counts,
             absl::Span<double> shares) const override {
    const double sum = Sum(counts);
    std::transform(counts.begin(), counts.end(), shares.begin(),
                   [sum](uint32_t count) { return count / sum; });
  }
};

// Brants et al. 2007: relative frequencies, and a factor alpha for each
// back-off.
class StupidBackOff final : public MaximumLikelihood {
 public:
  Leftover leftover() const override { return Leftover::kStupid; }
};

// P(w | h) = (count(h w) + delta) / (count(h) + delta |V|).
class Additive final : public Smoothing {
 public:
  Additive(double delta, uint64_t vocabulary)
      : delta_(delta), vocabulary_(vocabulary) {}

  Leftover leftover() const override { return Leftover::kFloor; }

  void Share(int /*order*/, absl::Span<const uint32_t> counts,
             absl::Span<double> shares) const override {
    const double sum = Sum(counts) + delta_ * vocabulary_;
    std::transform(counts.begin(), counts.end(), shares.begin(),
                   [&](uint32_t count) { return (count + delta_) / sum; });
  }

 private:
  const double delta_;
  const double vocabulary_;
};

// P(w | h) = (count(h w) + T P(w | h')) / (count(h) + T), where T is the number
// of different words after h (Witten and Bell 1991, method C).
class WittenBell final : public Smoothing {
 public:
  Leftover leftover() const override { return Leftover::kInterpolate; }

  void Share(int /*order*/, absl::Span<const uint32_t> counts,
             absl::Span<double> shares) const override {
    const auto types =
        counts.size() - std::count(counts.begin(), counts.end(), 0u);
    const double sum = Sum(counts) + types;
    std::transform(counts.begin(), counts.end(), shares.begin(),
                   [sum](uint32_t count) { return count / sum; });
  }

  bool is_compact() const override { return true; }
  CountSmoothing CompactParameters(int /*order*/) const override {
    return {.discount = {}, .types_weight = 1};
  }
};

// Katz 1987: counts up to k get a Good-Turing discount; the leftover goes to
// the unseen words. k is the largest number up to 5 for which the counts of
// counts give all discounts a factor in (0, 1].
class Katz final : public Smoothing {
 public:
  Leftover leftover() const override { return Leftover::kBackOff; }

  std::string Fit(int order, const CountsOfCounts& n) override {
    Factors factors;
    int k = kLimit;
    while (k > 0 && !FindFactors(n, k, &factors)) --k;
    factors.resize(k);
    factors_.push_back(factors);
    if (k == kLimit) return "";
    return absl::StrCat("order ", order, ": the counts of counts allow ",
                        "Good-Turing discounts only up to a count of ", k,
                        ", not ", kLimit);
  }

  void Share(int order, absl::Span<const uint32_t> counts,
             absl::Span<double> shares) const override {
    const Factors& factors = factors_[order - 1];
    double sum = Sum(counts);
    const bool discounted = std::any_of(
        counts.begin(), counts.end(),
        [&](uint32_t count) { return count > 0 && count <= factors.size(); });
    // A context without discounted words reserves one count for unseen words.
    if (!discounted) ++sum;
    for (size_t i = 0; i < counts.size(); ++i) {
      const uint32_t count = counts[i];
      const bool small = count > 0 && count <= factors.size();
      shares[i] = (small ? factors[count - 1] : 1) * count / sum;
    }
  }

 private:
  using Factors = std::vector<double>;  // for the counts 1, 2, ...

  static constexpr int kLimit = 5;

  // d_r = (r*/r - A) / (1 - A), r* = (r + 1) n_{r+1} / n_r,
  // A = (k + 1) n_{k+1} / n_1.
  static bool FindFactors(const CountsOfCounts& n, int k, Factors* factors) {
    factors->clear();
    if (n[1] == 0) return false;
    const double a = (k + 1.0) * n[k + 1] / n[1];
    for (int r = 1; r <= k; ++r) {
      if (n[r] == 0) return false;
      const double ratio = (r + 1.0) * n[r + 1] / n[r] / r;
      const double factor = (ratio - a) / (1 - a);
      if (!(factor > 0 && factor <= 1)) return false;
      factors->push_back(factor);
    }
    return true;
  }

  std::vector<Factors> factors_;  // by order
};

// Interpolated modified Kneser-Ney (Chen and Goodman 1998, section 3).
class ModifiedKneserNey final : public Smoothing {
 public:
  Leftover leftover() const override { return Leftover::kInterpolate; }
  bool adjusts_counts() const override { return true; }

  std::string Fit(int order, const CountsOfCounts& n) override {
    const absl::StatusOr<Discounts> discounts = KneserNeyDiscounts(n);
    discounts_.push_back(discounts.value_or(kFallback));
    const std::string values = absl::StrJoin(
        discounts_.back(), " ", [](std::string* out, double discount) {
          absl::StrAppendFormat(out, "%.6g", discount);
        });
    if (discounts.ok()) {
      return absl::StrCat("order ", order, ": discounts ", values);
    }
    return absl::StrCat("order ", order, ": ", discounts.status().message(),
                        "; using the discounts ", values);
  }

  void Share(int order, absl::Span<const uint32_t> counts,
             absl::Span<double> shares) const override {
    const Discounts& discounts = discounts_[order - 1];
    const double sum = Sum(counts);
    for (size_t i = 0; i < counts.size(); ++i) {
      const uint32_t count = counts[i];
      shares[i] =
          count == 0 ? 0 : (count - discounts[std::min(count, 3u) - 1]) / sum;
    }
  }

  bool is_compact() const override { return true; }
  CountSmoothing CompactParameters(int order) const override {
    const Discounts& d = discounts_[order - 1];
    return {.discount = {0, d[0], d[1], d[2]}, .types_weight = 0};
  }

 private:
  static constexpr Discounts kFallback = {0.5, 1, 1.5};

  std::vector<Discounts> discounts_;  // by order
};

constexpr absl::string_view kMethods[] = {
    "maximum-likelihood", "additive",           "stupid-back-off", "katz",
    "witten-bell",        "modified-kneser-ney"};

}  // namespace

absl::StatusOr<Discounts> KneserNeyDiscounts(const CountsOfCounts& n) {
  for (int count = 1; count <= 3; ++count) {
    if (n[count] == 0) {
      return absl::FailedPreconditionError(
          absl::StrCat("no n-gram has the count ", count));
    }
  }
  const double y = double(n[1]) / (n[1] + 2.0 * n[2]);
  Discounts discounts;
  for (int count = 1; count <= 3; ++count) {
    const double discount = count - (count + 1) * y * n[count + 1] / n[count];
    if (discount < 0 || discount > count) {
      return absl::FailedPreconditionError(absl::StrFormat(
          "the discount for a count of %d would be %g", count, discount));
    }
    discounts[count - 1] = discount;
  }
  return discounts;
}

absl::Span<const absl::string_view> SmoothingMethods() { return kMethods; }

absl::StatusOr<std::unique_ptr<Smoothing>> MakeSmoothing(
    const SmoothingOptions& options) {
  const std::string& method = options.method;
  if (method == "additive" &&
      !(options.delta > 0 && std::isfinite(options.delta))) {
    return absl::InvalidArgumentError(absl::StrCat(
        "delta: expected a positive number, found ", options.delta));
  }
  if (method == "stupid-back-off" &&
      !(options.alpha > 0 && options.alpha <= 1)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "alpha: expected a number in (0, 1], found ", options.alpha));
  }
  if (method == "maximum-likelihood") {
    return std::make_unique<MaximumLikelihood>();
  }
  if (method == "additive") {
    return std::make_unique<Additive>(options.delta, options.vocabulary);
  }
  if (method == "stupid-back-off") return std::make_unique<StupidBackOff>();
  if (method == "katz") return std::make_unique<Katz>();
  if (method == "witten-bell") return std::make_unique<WittenBell>();
  if (method == "modified-kneser-ney") {
    return std::make_unique<ModifiedKneserNey>();
  }
  return absl::InvalidArgumentError(absl::StrCat("smoothing: expected one of ",
                                                 absl::StrJoin(kMethods, ", "),
                                                 ", found '", method, "'"));
}

}  // namespace lmserve
