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

// The features of the candidates of a list: a name and a weight a column. It is
// filled column by column, each with a value for every candidate. One thread at
// a time.
class FeatureTable {
 public:
  explicit FeatureTable(size_t candidates) : rows_(candidates) {}

  // Adds the candidates' own features, by name, with weights of 0.
  // INVALID_ARGUMENT, naming the candidate, where they are not the same for
  // all, or not finite. REQUIRES: there are as many candidates, one at least.
  absl::Status AddOwnFeatures(
      const google::protobuf::RepeatedPtrField<lm::v1::Candidate>& candidates,
      const Limits& limits);

  // Adds a column of a model. INVALID_ARGUMENT where a candidate has a feature
  // of that name.
  absl::Status AddColumn(const std::string& name, double weight);

  bool Has(absl::string_view name) const {
    return std::find(names_.begin(), names_.end(), name) != names_.end();
  }

  // REQUIRES: there is such a feature.
  void SetWeight(absl::string_view name, double weight) {
    weights_[std::find(names_.begin(), names_.end(), name) - names_.begin()] =
        weight;
  }

  void AddValue(size_t candidate, double value) {
    rows_[candidate].push_back(value);
  }

  // Unless there are none, sets these weights, and all others to 0.
  // INVALID_ARGUMENT where there is no such feature.
  absl::Status SetWeights(
      const google::protobuf::Map<std::string, double>& weights);

  // The weighted sum. A weight of 0 takes a feature out, infinite or not.
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
