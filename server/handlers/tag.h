// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HANDLERS_TAG_H_
#define LMSERVE_SERVER_HANDLERS_TAG_H_

#include "absl/status/status.h"
#include "lm/v1/language_model.pb.h"
#include "server/call/call.h"
#include "server/call/task.h"
#include "server/handlers/serving_context.h"

namespace lmserve {

// Answers LanguageModelService.Tag. Any number of threads may call it; the
// arguments must last until the task is done.
Task<absl::Status> HandleTag(const ServingContext& serving, Call& call,
                             const lm::v1::TagRequest& request,
                             lm::v1::TagResponse* response);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HANDLERS_TAG_H_
