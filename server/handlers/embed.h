// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HANDLERS_EMBED_H_
#define LMSERVE_SERVER_HANDLERS_EMBED_H_

#include "absl/status/status.h"
#include "lm/v1/language_model.pb.h"
#include "server/call/call.h"
#include "server/call/task.h"
#include "server/handlers/serving_context.h"

namespace lmserve {

// Answers LanguageModelService.Embed. Any number of threads may call it; the
// arguments must last until the task is done.
Task<absl::Status> HandleEmbed(const ServingContext& serving, Call& call,
                               const lm::v1::EmbedRequest& request,
                               lm::v1::EmbedResponse* response);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HANDLERS_EMBED_H_
