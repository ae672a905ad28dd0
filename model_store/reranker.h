// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODEL_STORE_RERANKER_H_
#define LMSERVE_MODEL_STORE_RERANKER_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lm/v1/reranker.pb.h"

namespace lmserve {

// A reranker is stored like a model, with a name and versions, but its only
// file is reranker.json. All functions are pure.

inline constexpr absl::string_view kRerankerFamily = "reranker";
inline constexpr absl::string_view kRerankerFile = "reranker.json";

// INVALID_ARGUMENT "FIELD: expected ..., found ..." if a weight is not finite,
// scale or alpha is negative or not finite, or an enum has an unknown value.
absl::Status CheckWeighting(const lm::v1::Reranker& reranker);

// Returns the names of the features that a member adds to a candidate; see
// RerankRequest.models and RerankRequest.reverse_models.
std::vector<std::string> FeatureNames(const lm::v1::RerankerMember& member);

// Returns the weights by feature name. A reranker without weights gives the
// members' log-probabilities the weight 1. Features that are not in the map
// have weight 0.
std::map<std::string, double> FeatureWeights(const lm::v1::Reranker& reranker);

// Parses reranker.json, of at most 64 KiB. DATA_LOSS, naming the field, if it
// is not valid: there must be 1 to 64 members, with distinct feature names.
// Enums may have the names that the format gives them, such as MEAN, or those
// of the API, such as NORMALIZATION_MEAN.
absl::StatusOr<lm::v1::Reranker> ParseReranker(absl::string_view json);

// Returns reranker.json, with the names that the format gives to enums.
std::string RerankerJson(const lm::v1::Reranker& reranker);

// Returns name and version of the members that are named as NAME@VERSION.
std::vector<std::pair<std::string, uint64_t>> FixedMembers(
    const lm::v1::Reranker& reranker);

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_RERANKER_H_
