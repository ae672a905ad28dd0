#ifndef LMSERVE_SERVER_MODELS_H_
#define LMSERVE_SERVER_MODELS_H_

#include <functional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lm/v1/language_model.pb.h"
#include "model_store/model_store.h"

namespace lmserve {

// Answer ModelService. Any number of threads may call them.
void ListModels(const ModelStore& store, lm::v1::ListModelsResponse* response);
absl::Status GetModel(const ModelStore& store,
                      const lm::v1::GetModelRequest& request,
                      lm::v1::GetModelResponse* response);

// The same, for those that change the store. They return at once; `done` gets
// the answer, in the store's thread or, if it was stopped, in this one.
template <typename Response>
using Done = std::function<void(const absl::StatusOr<Response>&)>;

void LoadModel(ModelStore& store, const lm::v1::LoadModelRequest& request,
               Done<lm::v1::LoadModelResponse> done);
void UnloadModel(ModelStore& store, const lm::v1::UnloadModelRequest& request,
                 Done<lm::v1::UnloadModelResponse> done);
void SetAlias(ModelStore& store, const lm::v1::SetAliasRequest& request,
              Done<lm::v1::SetAliasResponse> done);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_MODELS_H_
