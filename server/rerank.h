#ifndef LMSERVE_SERVER_RERANK_H_
#define LMSERVE_SERVER_RERANK_H_

#include "absl/status/status.h"
#include "lm/v1/language_model.pb.h"
#include "model_store/model_store.h"
#include "server/limits.h"

namespace lmserve {

// Answers LanguageModelService.Rerank. Any number of threads may call it.
absl::Status Rerank(const ModelStore& store, const Limits& limits,
                    const lm::v1::RerankRequest& request,
                    lm::v1::RerankResponse* response);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_RERANK_H_
