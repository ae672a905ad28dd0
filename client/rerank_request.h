// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_CLIENT_RERANK_REQUEST_H_
#define LMSERVE_CLIENT_RERANK_REQUEST_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lm/v1/language_model.pb.h"

namespace lmserve {

// The options of lm_client rerank that become a RerankRequest; its fields have
// the same names and explain them.
struct RerankOptions {
  std::vector<std::string> models;
  std::vector<std::string> reverse_models;
  std::vector<std::string> weights;  // as of ParseNamedNumbers()
  lm::v1::Normalization normalization = lm::v1::NORMALIZATION_UNSPECIFIED;
  double alpha = 0;
  std::optional<lm::v1::MinimumBayesRisk::Utility> utility;
  double scale = 0;
  std::string reranker;
  uint32_t best = 0;
  std::string source;
};

// Returns what is wrong with a text of weights, or "".
std::string CheckWeights(const std::string& text);

// Returns a request with all options, and without candidates. INVALID_ARGUMENT
// if the weights are not those of different features.
absl::StatusOr<lm::v1::RerankRequest> MakeRerankRequest(
    const RerankOptions& options);

// Adds a candidate: "TEXT" or "TEXT ||| NAME=NUMBER NAME=NUMBER ...", where
// each NAME=NUMBER is another feature of the candidate.
absl::Status AddCandidate(absl::string_view line,
                          lm::v1::RerankRequest* request);

}  // namespace lmserve

#endif  // LMSERVE_CLIENT_RERANK_REQUEST_H_
