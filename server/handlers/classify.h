// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HANDLERS_CLASSIFY_H_
#define LMSERVE_SERVER_HANDLERS_CLASSIFY_H_

#include "absl/status/status.h"
#include "lm/v1/language_model.pb.h"
#include "server/call/call.h"
#include "server/call/task.h"
#include "server/handlers/serving_context.h"

namespace lmserve {

// Answers LanguageModelService.Classify. Any number of threads may call it; the
// arguments must last until the task is done.
Task<absl::Status> HandleClassify(const ServingContext& serving, Call& call,
                                  const lm::v1::ClassifyRequest& request,
                                  lm::v1::ClassifyResponse* response);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HANDLERS_CLASSIFY_H_
