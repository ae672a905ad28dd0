#ifndef LMSERVE_SERVER_SERVICES_H_
#define LMSERVE_SERVER_SERVICES_H_

#include <grpcpp/impl/service_type.h>

#include <memory>

#include "model_store/model_store.h"
#include "server/reception.h"
#include "server/serving.h"

namespace lmserve {

// The gRPC services: shims that parse a request, call the function that answers
// it, and send what it says. What they are made with must outlive them and
// their calls.
std::unique_ptr<grpc::Service> MakeLanguageModelService(
    const Serving& serving, const Reception& reception);
std::unique_ptr<grpc::Service> MakeModelService(const ModelStore& store,
                                                const Reception& reception);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_SERVICES_H_
