#ifndef LMSERVE_SERVER_MODELS_H_
#define LMSERVE_SERVER_MODELS_H_

#include "absl/status/status.h"
#include "lm/v1/language_model.pb.h"
#include "model_store/model_store.h"

namespace lmserve {

// Answer ModelService. Any number of threads may call them.
absl::Status ListModels(const ModelStore& store,
                        const lm::v1::ListModelsRequest& request,
                        lm::v1::ListModelsResponse* response);
absl::Status GetModel(const ModelStore& store,
                      const lm::v1::GetModelRequest& request,
                      lm::v1::GetModelResponse* response);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_MODELS_H_
