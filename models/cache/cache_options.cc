// SPDX-License-Identifier: Apache-2.0
#include "models/cache/cache_options.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"

namespace lmserve {
namespace {

constexpr double kMostSum = 1 + 1e-6;

template <typename... Parts>
absl::Status WrongCache(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

absl::Status CheckCache(const Cache& cache) {
  if (!std::isfinite(cache.weight) || cache.weight < 0) {
    return WrongCache("weight: expected at least 0, found ", cache.weight);
  }
  if (cache.kind == CacheKind::kContinuous) {
    if (cache.theta >= 0 && cache.theta <= kMaxTheta) return absl::OkStatus();
    return WrongCache("theta: expected 0 to ", kMaxTheta, ", found ",
                      cache.theta);
  }
  if (cache.order < 1 || cache.order > kMaxCacheOrder) {
    return WrongCache("order: expected 1 to ", kMaxCacheOrder, ", found ",
                      cache.order);
  }
  if (!(cache.decay > 0 && cache.decay <= 1)) {
    return WrongCache("decay: expected above 0 and at most 1, found ",
                      cache.decay);
  }
  return absl::OkStatus();
}

}  // namespace

bool NeedsHidden(const CacheOptions& options) {
  return std::any_of(
      options.caches.begin(), options.caches.end(),
      [](const Cache& c) { return c.kind == CacheKind::kContinuous; });
}

absl::Status CheckCacheOptions(const CacheOptions& options) {
  if (options.history < 1 || options.history > kMaxCacheHistory) {
    return WrongCache("history: expected 1 to ", kMaxCacheHistory, ", found ",
                      options.history);
  }
  if (options.keys == Precision::kInt8) {
    return WrongCache("keys: expected float or bf16, found int8");
  }
  if (options.caches.empty() || options.caches.size() > kMaxCaches) {
    return WrongCache("caches: expected 1 to ", kMaxCaches, ", found ",
                      options.caches.size());
  }
  double sum = 0;
  for (size_t i = 0; i < options.caches.size(); ++i) {
    const absl::Status status = CheckCache(options.caches[i]);
    if (!status.ok()) return WrongCache("cache ", i, ": ", status.message());
    sum += options.caches[i].weight;
  }
  if (sum <= kMostSum) return absl::OkStatus();
  return WrongCache("weights: expected a sum of at most 1, found ", sum);
}

}  // namespace lmserve
