// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HANDLERS_FEATURE_TABLE_H_
#define LMSERVE_SERVER_HANDLERS_FEATURE_TABLE_H_

#include <algorithm>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "lm/v1/language_model.pb.h"
#include "server/call/limits.h"

namespace lmserve {

// The features of a list of candidates: a row for each candidate, a column with
// a name and a weight for each feature. Columns are added one after the other,
// each with a value for every candidate. One thread at a time.
class FeatureTable {
 public:
  explicit FeatureTable(size_t candidates) : rows_(candidates) {}

  // Adds the features that the request gives the candidates, in the order of
  // their names, with weights of 0. Fails with INVALID_ARGUMENT, naming the
  // candidate, if not all candidates have the same features or a value is not
  // finite, and with RESOURCE_EXHAUSTED if there are too many features.
  // REQUIRES: candidates.size() == candidates() > 0.
  absl::Status AddOwnFeatures(
      const google::protobuf::RepeatedPtrField<lm::v1::Candidate>& candidates,
      const Limits& limits);

  // Adds a column for a feature of a model, still without values. Fails with
  // INVALID_ARGUMENT if there is a feature of that name.
  absl::Status AddColumn(const std::string& name, double weight);

  bool Has(absl::string_view name) const {
    return std::find(names_.begin(), names_.end(), name) != names_.end();
  }

  // REQUIRES: Has(name).
  void SetWeight(absl::string_view name, double weight) {
    weights_[std::find(names_.begin(), names_.end(), name) - names_.begin()] =
        weight;
  }

  // Sets the value of a candidate in the column that was added last.
  void AddValue(size_t candidate, double value) {
    rows_[candidate].push_back(value);
  }

  // Sets these weights and all others to 0; if `weights` is empty, keeps all.
  // Fails with INVALID_ARGUMENT if a feature does not exist.
  absl::Status SetWeights(
      const google::protobuf::Map<std::string, double>& weights);

  // Returns the weighted sum of the features of a candidate. A feature of
  // weight 0 is ignored even if it is infinite.
  double Score(size_t candidate) const;

  size_t candidates() const { return rows_.size(); }
  const std::vector<std::string>& names() const { return names_; }
  const std::vector<double>& weights() const { return weights_; }
  const std::vector<double>& row(size_t candidate) const {
    return rows_[candidate];
  }

 private:
  std::vector<std::string> names_;
  std::vector<double> weights_;
  std::vector<std::vector<double>> rows_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HANDLERS_FEATURE_TABLE_H_
