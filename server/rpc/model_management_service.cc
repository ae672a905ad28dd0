// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/model_management_service.h"

#include <memory>

#include "lm/v1/language_model.grpc.pb.h"
#include "server/handlers/model_management.h"
#include "server/rpc/unary.h"

namespace lmserve {
namespace {

using lm::v1::ModelService;

using RawModelService = ModelService::WithRawCallbackMethod_ListModels<
    ModelService::WithRawCallbackMethod_GetModel<
        ModelService::WithRawCallbackMethod_LoadModel<
            ModelService::WithRawCallbackMethod_UnloadModel<
                ModelService::WithRawCallbackMethod_SetAlias<
                    ModelService::Service>>>>>;

class ModelServiceImpl final : public RawModelService {
 public:
  // If `admin` is null, the methods that change the store are UNIMPLEMENTED.
  ModelServiceImpl(const ModelStore& store, ModelStore* admin,
                   const CallInterceptor& interceptor)
      : store_(store), admin_(admin), interceptor_(interceptor) {}

  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* context,
                                       const grpc::ByteBuffer* in,
                                       grpc::ByteBuffer* out) override {
    return Query("ListModels", context, *in, out, HandleListModels);
  }

  grpc::ServerUnaryReactor* GetModel(grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* in,
                                     grpc::ByteBuffer* out) override {
    return Query("GetModel", context, *in, out, HandleGetModel);
  }

  grpc::ServerUnaryReactor* LoadModel(grpc::CallbackServerContext* context,
                                      const grpc::ByteBuffer* in,
                                      grpc::ByteBuffer* out) override {
    return Change("LoadModel", context, *in, out, HandleLoadModel);
  }

  grpc::ServerUnaryReactor* UnloadModel(grpc::CallbackServerContext* context,
                                        const grpc::ByteBuffer* in,
                                        grpc::ByteBuffer* out) override {
    return Change("UnloadModel", context, *in, out, HandleUnloadModel);
  }

  grpc::ServerUnaryReactor* SetAlias(grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* in,
                                     grpc::ByteBuffer* out) override {
    return Change("SetAlias", context, *in, out, HandleSetAlias);
  }

 private:
  template <typename Request, typename Response>
  grpc::ServerUnaryReactor* Query(absl::string_view method,
                                  grpc::CallbackServerContext* context,
                                  const grpc::ByteBuffer& in,
                                  grpc::ByteBuffer* out,
                                  absl::Status (*query)(const ModelStore&,
                                                        Call&, const Request&,
                                                        Response*)) {
    auto reactor =
        std::make_unique<UnaryReactor>(*context, Priority::kInteractive);
    AnswerUnary<Request, Response>(
        interceptor_, method, Role::kRead, in, out, reactor.get(),
        [=, this](Call& call, const Request& request,
                  Response* response) -> Task<absl::Status> {
          co_return query(store_, call, request, response);
        });
    return reactor.release();
  }

  template <typename Request, typename Response>
  grpc::ServerUnaryReactor* Change(
      absl::string_view method, grpc::CallbackServerContext* context,
      const grpc::ByteBuffer& in, grpc::ByteBuffer* out,
      Task<absl::Status> (*change)(ModelStore*, Call&, const Request&,
                                   Response*)) {
    auto reactor =
        std::make_unique<UnaryReactor>(*context, Priority::kInteractive);
    AnswerUnary<Request, Response>(
        interceptor_, method, Role::kAdmin, in, out, reactor.get(),
        [=, this](Call& call, const Request& request, Response* response) {
          return change(admin_, call, request, response);
        });
    return reactor.release();
  }

  const ModelStore& store_;
  ModelStore* const admin_;
  const CallInterceptor& interceptor_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeModelService(
    const ModelStore& store, const CallInterceptor& interceptor) {
  return std::make_unique<ModelServiceImpl>(store, nullptr, interceptor);
}

std::unique_ptr<grpc::Service> MakeAdminService(
    ModelStore& store, const CallInterceptor& interceptor) {
  return std::make_unique<ModelServiceImpl>(store, &store, interceptor);
}

}  // namespace lmserve
