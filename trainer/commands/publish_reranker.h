// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COMMANDS_PUBLISH_RERANKER_H_
#define LMSERVE_TRAINER_COMMANDS_PUBLISH_RERANKER_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "command_line/cli.h"
#include "lm/v1/reranker.pb.h"

namespace lmserve {

// Options of a reranker that is published with tuned weights.
struct RerankerOptions {
  std::string store;
  std::string model;                 // empty: publish no reranker
  std::vector<std::string> members;  // MODEL or FEATURE=MODEL
  std::vector<std::string> reverse_members;
  std::string normalization = "sum";
  double alpha = 0;
  std::string utility;  // of minimum-Bayes-risk decoding; empty: none
  double scale = 1;
};

void AddRerankerOptions(cli::App& command, RerankerOptions* options);

// Makes a reranker without weights, before these are computed. Fails if the
// options name no member, or the store lacks one or cannot have a version of
// options.model. If there is nothing to publish, the reranker has no members.
absl::StatusOr<lm::v1::Reranker> StartReranker(const RerankerOptions& options);

// Sets the weights, one per feature. Members whose features all have weight 0
// are removed and added to *left_out. Fails if no member is left.
absl::Status SetWeights(absl::Span<const std::string> feature_names,
                        absl::Span<const double> weights,
                        lm::v1::Reranker* reranker,
                        std::vector<std::string>* left_out);

// Returns "sum", "mean" or "power".
std::string NormalizationName(const lm::v1::Reranker& reranker);

// Returns the features with a weight that no member computes, sorted: clients
// must send them with each candidate.
std::vector<std::string> OwnFeatures(const lm::v1::Reranker& reranker);

// Publishes a reranker as the next version of options.model and returns the
// version's number. `properties` describe the tuning.
absl::StatusOr<uint64_t> PublishReranker(
    const RerankerOptions& options, const lm::v1::Reranker& reranker,
    std::map<std::string, std::string> properties);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COMMANDS_PUBLISH_RERANKER_H_
