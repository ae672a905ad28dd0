// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_RPC_LANGUAGE_MODEL_SERVICE_H_
#define LMSERVE_SERVER_RPC_LANGUAGE_MODEL_SERVICE_H_

#include <grpcpp/impl/service_type.h>

#include <memory>

#include "server/handlers/serving_context.h"
#include "server/transport/call_interceptor.h"

namespace lmserve {

// Returns the gRPC service lm.v1.LanguageModelService. Each of its methods
// parses the request, calls the handler, and sends what the handler returns.
// The arguments must outlive the service and its calls.
std::unique_ptr<grpc::Service> MakeLanguageModelService(
    const ServingContext& serving, const CallInterceptor& interceptor);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_RPC_LANGUAGE_MODEL_SERVICE_H_
