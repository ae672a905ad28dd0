// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HANDLERS_CANDIDATE_RISK_H_
#define LMSERVE_SERVER_HANDLERS_CANDIDATE_RISK_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "lm/v1/language_model.pb.h"
#include "model_store/loaded_version.h"
#include "models/vocabulary.h"
#include "server/call/call.h"
#include "server/call/task.h"
#include "server/handlers/serving_context.h"

namespace lmserve {

// Returns the expected utility of each candidate (BayesRisk in
// reranking/bayes_risk.h), given their scores. Candidates that come as ids are
// words of `vocabulary`.
//
// Compares a few candidates at a time, in batches of `model`, so that other
// calls have their turn in between. Fails as Batcher::Run() does, with
// INVALID_ARGUMENT if an id is not in the vocabulary, and with
// RESOURCE_EXHAUSTED if the candidates are too long to compare or take more
// memory than is left.
//
// Any number of threads may call it. The arguments must last until the task is
// done.
Task<absl::StatusOr<std::vector<double>>> CandidateUtilities(
    const ServingContext& serving, Call& call, const LoadedVersion& model,
    const Vocabulary& vocabulary,
    const google::protobuf::RepeatedPtrField<lm::v1::Candidate>& candidates,
    absl::Span<const double> scores, const lm::v1::MinimumBayesRisk& settings);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HANDLERS_CANDIDATE_RISK_H_
