#ifndef LMSERVE_SERVER_SERVING_H_
#define LMSERVE_SERVER_SERVING_H_

#include "model_store/model_store.h"
#include "server/batcher.h"
#include "server/budget.h"
#include "server/limits.h"
#include "server/score_cache.h"

namespace lmserve {

// What all calls are answered with.
struct Serving {
  const ModelStore& store;
  const Limits& limits;
  Batcher& batcher;
  Budgets& budgets;
  ScoreCache& score_cache;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_SERVING_H_
