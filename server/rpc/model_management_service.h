#ifndef LMSERVE_SERVER_RPC_MODEL_MANAGEMENT_SERVICE_H_
#define LMSERVE_SERVER_RPC_MODEL_MANAGEMENT_SERVICE_H_

#include <grpcpp/impl/service_type.h>

#include <memory>

#include "model_store/model_store.h"
#include "server/rpc/call_interceptor.h"

namespace lmserve {

// ModelService, as shims around the functions of models.h. What a service is
// made with must outlive it and its calls.

// For all: what changes the store is UNIMPLEMENTED.
std::unique_ptr<grpc::Service> MakeModelService(
    const ModelStore& store, const CallInterceptor& interceptor);

// For those who run the server: all of it. Changing needs the role admin.
std::unique_ptr<grpc::Service> MakeAdminService(
    ModelStore& store, const CallInterceptor& interceptor);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_RPC_MODEL_MANAGEMENT_SERVICE_H_
