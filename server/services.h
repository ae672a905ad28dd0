#ifndef LMSERVE_SERVER_SERVICES_H_
#define LMSERVE_SERVER_SERVICES_H_

#include <grpcpp/impl/service_type.h>

#include <memory>

#include "model_store/model_store.h"
#include "server/call_gate.h"
#include "server/limits.h"

namespace lmserve {

// LanguageModelService: shims that parse a request, call the function that
// answers it, and send what it says. n-gram work is cheaper than a thread's
// hand-over, so it runs where the request came in. A call that the gate does
// not let in is UNAVAILABLE. What the service is made with must outlive it.
std::unique_ptr<grpc::Service> MakeLanguageModelService(const ModelStore& store,
                                                        const Limits& limits,
                                                        CallGate& gate);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_SERVICES_H_
