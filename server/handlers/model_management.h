// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HANDLERS_MODEL_MANAGEMENT_H_
#define LMSERVE_SERVER_HANDLERS_MODEL_MANAGEMENT_H_

#include "absl/status/status.h"
#include "lm/v1/language_model.pb.h"
#include "model_store/model_store.h"
#include "server/call/call.h"
#include "server/call/task.h"

namespace lmserve {

// The handlers of ModelService. Any number of threads may call them. They note
// in the call which model it is about.
absl::Status HandleListModels(const ModelStore& store, Call& call,
                              const lm::v1::ListModelsRequest& request,
                              lm::v1::ListModelsResponse* response);

// The same for a snapshot of a store.
absl::Status ListPage(const ServedModels& served,
                      const lm::v1::ListModelsRequest& request,
                      lm::v1::ListModelsResponse* response);
absl::Status HandleGetModel(const ModelStore& store, Call& call,
                            const lm::v1::GetModelRequest& request,
                            lm::v1::GetModelResponse* response);

// These change the store. The task ends on the store's thread; the arguments
// must last until then. Without a store (null) they are UNIMPLEMENTED, because
// the client must use the address for administrators.
Task<absl::Status> HandleLoadModel(ModelStore* store, Call& call,
                                   const lm::v1::LoadModelRequest& request,
                                   lm::v1::LoadModelResponse* response);
Task<absl::Status> HandleUnloadModel(ModelStore* store, Call& call,
                                     const lm::v1::UnloadModelRequest& request,
                                     lm::v1::UnloadModelResponse* response);
Task<absl::Status> HandleSetAlias(ModelStore* store, Call& call,
                                  const lm::v1::SetAliasRequest& request,
                                  lm::v1::SetAliasResponse* response);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HANDLERS_MODEL_MANAGEMENT_H_
