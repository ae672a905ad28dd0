// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HANDLERS_SERVING_CONTEXT_H_
#define LMSERVE_SERVER_HANDLERS_SERVING_CONTEXT_H_

#include "model_store/model_store.h"
#include "server/admission/budget.h"
#include "server/batching/batcher.h"
#include "server/call/limits.h"
#include "server/handlers/score_cache.h"

namespace lmserve {

// What handlers need to answer any call. Owns nothing.
struct ServingContext {
  const ModelStore& store;
  const Limits& limits;
  Batcher& batcher;
  Budgets& budgets;
  ScoreCache& score_cache;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HANDLERS_SERVING_CONTEXT_H_
