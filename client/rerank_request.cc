// SPDX-License-Identifier: Apache-2.0
#include "client/rerank_request.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/types/span.h"
#include "client/text_source.h"
#include "reranking/named_numbers.h"
#include "text_io/sentence_markers.h"

namespace lmserve {
namespace {

// Sets *field to the named numbers of the texts.
absl::Status SetNamedNumbers(
    absl::Span<const std::string> texts,
    google::protobuf::Map<std::string, double>* field) {
  const auto numbers = ParseNamedNumbers(texts);
  if (!numbers.ok()) return numbers.status();
  field->insert(numbers->begin(), numbers->end());
  return absl::OkStatus();
}

}  // namespace

std::string CheckWeights(const std::string& text) {
  return std::string(ParseNamedNumbers({text}).status().message());
}

absl::StatusOr<lm::v1::RerankRequest> MakeRerankRequest(
    const RerankOptions& options) {
  lm::v1::RerankRequest request;
  request.mutable_models()->Add(options.models.begin(), options.models.end());
  request.mutable_reverse_models()->Add(options.reverse_models.begin(),
                                        options.reverse_models.end());
  const absl::Status status =
      SetNamedNumbers(options.weights, request.mutable_weights());
  if (!status.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--weights: ", status.message()));
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
  if (parts.size() == 1 || absl::StripAsciiWhitespace(parts[1]).empty()) {
    return absl::OkStatus();
  }
  return SetNamedNumbers({std::string(parts[1])},
                         candidate->mutable_features());
}

}  // namespace lmserve
