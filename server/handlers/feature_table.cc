// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/feature_table.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "models/printable_text.h"
#include "server/call/status.h"

namespace lmserve {
namespace {

// The most bytes of all names of features in an error.
constexpr size_t kNamesBytes = 1000;

}  // namespace

absl::Status FeatureTable::AddOwnFeatures(
    const google::protobuf::RepeatedPtrField<lm::v1::Candidate>& candidates,
    const Limits& limits) {
  const auto& first = candidates[0].features();
  absl::Status status =
      CheckLimit("candidates[0].features", first.size(), limits.features);
  if (!status.ok()) return status;
  std::set<std::string> names;
  for (const auto& [name, value] : first) names.insert(name);
  names_.assign(names.begin(), names.end());
  weights_.assign(names_.size(), 0);
  for (int i = 0; i < candidates.size(); ++i) {
    const auto& features = candidates[i].features();
    const std::string field = absl::StrCat("candidates[", i, "].features");
    if (features.size() != names.size()) {
      return InvalidField(
          field, absl::StrCat("expected ", names.size(),
                              " features, as for candidates[0], found ",
                              features.size()));
    }
    for (const std::string& name : names_) {
      const auto found = features.find(name);
      if (found == features.end()) {
        return InvalidField(
            field, absl::StrCat("expected the features of candidates[0], found "
                                "no '",
                                Printable(name), "'"));
      }
      if (!std::isfinite(found->second)) {
        return InvalidField(
            absl::StrCat(field, "[", Printable(name), "]"),
            absl::StrCat("expected a finite number, found ", found->second));
      }
      AddValue(i, found->second);
    }
  }
  return absl::OkStatus();
}

absl::Status FeatureTable::AddColumn(const std::string& name, double weight) {
  if (Has(name)) {
    return InvalidField(
        "candidates[0].features",
        absl::StrCat("expected no feature with the name of a model's feature, "
                     "found '",
                     Printable(name), "'"));
  }
  names_.push_back(name);
  weights_.push_back(weight);
  return absl::OkStatus();
}

absl::Status FeatureTable::SetWeights(
    const google::protobuf::Map<std::string, double>& weights) {
  if (weights.empty()) return absl::OkStatus();
  std::fill(weights_.begin(), weights_.end(), 0);
  for (const auto& [name, weight] : weights) {
    const auto found = std::find(names_.begin(), names_.end(), name);
    if (found == names_.end()) {
      return InvalidField(
          absl::StrCat("weights[", Printable(name), "]"),
          absl::StrCat("expected one of the features ",
                       Printable(absl::StrJoin(names_, ", "), kNamesBytes)));
    }
    weights_[found - names_.begin()] = weight;
  }
  return absl::OkStatus();
}

double FeatureTable::Score(size_t candidate) const {
  double score = 0;
  for (size_t i = 0; i < weights_.size(); ++i) {
    if (weights_[i] != 0) score += weights_[i] * rows_[candidate][i];
  }
  // NaN is the sum of infinities of both signs: a text that is impossible under
  // a model.
  return std::isnan(score) ? -std::numeric_limits<double>::infinity() : score;
}

}  // namespace lmserve
