// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_OPENAI_OPENAI_ROUTES_H_
#define LMSERVE_SERVER_OPENAI_OPENAI_ROUTES_H_

#include "server/handlers/serving_context.h"
#include "server/http/http_context.h"
#include "server/http/http_router.h"

namespace lmserve {

// The routes of OpenAI's API that language models can answer, and those by
// which other servers and lm-evaluation-harness split texts: docs/openai.md has
// the list. Each is also below /models/NAME, which names the model for clients
// that do not. What they use must outlive the router and its calls.
void AddOpenAiRoutes(const ServingContext& serving, const HttpContext& context,
                     HttpRouter* router);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_OPENAI_OPENAI_ROUTES_H_
