// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HANDLERS_SCORE_H_
#define LMSERVE_SERVER_HANDLERS_SCORE_H_

#include "absl/status/status.h"
#include "lm/v1/language_model.pb.h"
#include "server/call/call.h"
#include "server/call/task.h"
#include "server/handlers/serving_context.h"

namespace lmserve {

// Answers LanguageModelService.Score. Scores all texts in one batch. Any number
// of threads may call it; the arguments must last until the task is done.
Task<absl::Status> HandleScore(const ServingContext& serving, Call& call,
                               const lm::v1::ScoreRequest& request,
                               lm::v1::ScoreResponse* response);

// The same with this version, whatever model the request names.
Task<absl::Status> ScoreWithModel(const ServingContext& serving, Call& call,
                                  const LoadedVersion& loaded,
                                  const lm::v1::ScoreRequest& request,
                                  lm::v1::ScoreResponse* response);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HANDLERS_SCORE_H_
