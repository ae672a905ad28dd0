#ifndef LMSERVE_SERVER_MODEL_SERVICE_H_
#define LMSERVE_SERVER_MODEL_SERVICE_H_

#include <grpcpp/impl/service_type.h>

#include <memory>

#include "model_store/model_store.h"
#include "server/call_gate.h"

namespace lmserve {

// ModelService, as shims around the functions of models.h. A call that the gate
// does not let in is UNAVAILABLE. What a service is made with must outlive it.

// For all: what changes the store is UNIMPLEMENTED.
std::unique_ptr<grpc::Service> MakeModelService(const ModelStore& store,
                                                CallGate& gate);

// For those who run the server: all of it.
std::unique_ptr<grpc::Service> MakeAdminService(ModelStore& store,
                                                CallGate& gate);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_MODEL_SERVICE_H_
