// SPDX-License-Identifier: Apache-2.0
#include "client/rerank_request.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/text_source.h"
#include "reranking/nbest_line.h"

namespace lmserve {
namespace {

// Parses NAME=NUMBER and adds it to the numbers.
absl::Status AddNamedNumber(
    absl::string_view text,
    google::protobuf::Map<std::string, double>* numbers) {
  const absl::StatusOr<Feature> feature = ParseFeature(text);
  if (!feature.ok()) return feature.status();
  (*numbers)[feature->name] = feature->value;
  return absl::OkStatus();
}

}  // namespace

std::string CheckWeight(const std::string& text) {
  google::protobuf::Map<std::string, double> weights;
  return std::string(AddNamedNumber(text, &weights).message());
}

absl::StatusOr<lm::v1::RerankRequest> MakeRerankRequest(
    const RerankOptions& options) {
  lm::v1::RerankRequest request;
  request.mutable_models()->Add(options.models.begin(), options.models.end());
  request.mutable_reverse_models()->Add(options.reverse_models.begin(),
                                        options.reverse_models.end());
  for (const std::string& weight : options.weights) {
    absl::Status status = AddNamedNumber(weight, request.mutable_weights());
    if (!status.ok()) return status;
  }
  request.set_normalization(options.normalization);
  request.set_alpha(options.alpha);
  if (options.utility.has_value()) {
    request.mutable_minimum_bayes_risk()->set_utility(*options.utility);
    request.mutable_minimum_bayes_risk()->set_scale(options.scale);
  }
  request.set_reranker(options.reranker);
  request.set_best(options.best);
  if (!options.source.empty()) {
    request.mutable_source()->set_text(options.source);
  }
  return request;
}

absl::Status AddCandidate(absl::string_view line,
                          lm::v1::RerankRequest* request) {
  const std::vector<absl::string_view> parts = absl::StrSplit(line, "|||");
  if (parts.size() > 2) {
    return absl::InvalidArgumentError(absl::StrCat(
        "candidate ", request->candidates_size(),
        ": expected TEXT or TEXT ||| NAME=NUMBER ..., found '", line, "'"));
  }
  lm::v1::Candidate* candidate = request->add_candidates();
  const absl::string_view text = absl::StripAsciiWhitespace(parts[0]);
  candidate->mutable_text()->set_text(
      std::string(WithoutSentenceMarkers(text)));
  if (parts.size() == 1) return absl::OkStatus();
  for (absl::string_view feature :
       absl::StrSplit(parts[1], ' ', absl::SkipWhitespace())) {
    absl::Status status =
        AddNamedNumber(feature, candidate->mutable_features());
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace lmserve
