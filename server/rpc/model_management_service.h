// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_RPC_MODEL_MANAGEMENT_SERVICE_H_
#define LMSERVE_SERVER_RPC_MODEL_MANAGEMENT_SERVICE_H_

#include <grpcpp/impl/service_type.h>

#include <memory>

#include "model_store/model_store.h"
#include "server/transport/call_interceptor.h"

namespace lmserve {

// Both functions return the gRPC service lm.v1.ModelService, whose methods call
// the functions of server/handlers/model_management.h. The arguments must
// outlive the service and its calls.

// The service for all clients: methods that change the store are
// UNIMPLEMENTED.
std::unique_ptr<grpc::Service> MakeModelService(
    const ModelStore& store, const CallInterceptor& interceptor);

// The service for administrators, with all methods. Those that change the store
// require the role admin.
std::unique_ptr<grpc::Service> MakeAdminService(
    ModelStore& store, const CallInterceptor& interceptor);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_RPC_MODEL_MANAGEMENT_SERVICE_H_
