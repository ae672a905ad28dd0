#ifndef LMSERVE_SERVER_RPC_LANGUAGE_MODEL_SERVICE_H_
#define LMSERVE_SERVER_RPC_LANGUAGE_MODEL_SERVICE_H_

#include <grpcpp/impl/service_type.h>

#include <memory>

#include "server/handlers/serving_context.h"
#include "server/rpc/call_interceptor.h"

namespace lmserve {

// LanguageModelService: shims that parse a request, call the function that
// answers it, and send what it says. What it is made with must outlive it and
// its calls.
std::unique_ptr<grpc::Service> MakeLanguageModelService(
    const ServingContext& serving, const CallInterceptor& interceptor);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_RPC_LANGUAGE_MODEL_SERVICE_H_
