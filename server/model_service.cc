#include "server/model_service.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "lm/v1/language_model.grpc.pb.h"
#include "server/models.h"
#include "server/unary.h"

namespace lmserve {
namespace {

using lm::v1::ModelService;

using RawModelService = ModelService::WithRawCallbackMethod_ListModels<
    ModelService::WithRawCallbackMethod_GetModel<
        ModelService::WithRawCallbackMethod_LoadModel<
            ModelService::WithRawCallbackMethod_UnloadModel<
                ModelService::WithRawCallbackMethod_SetAlias<
                    ModelService::Service>>>>>;

absl::Status NotHere() {
  return absl::UnimplementedError(
      "models are changed on the server's admin address alone (lm_server "
      "--admin-listen)");
}

class ModelServiceImpl final : public RawModelService {
 public:
  // Without `admin` nothing can be changed.
  ModelServiceImpl(const ModelStore& store, ModelStore* admin, CallGate& gate)
      : store_(store), admin_(admin), gate_(gate) {}

  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* context,
                                       const grpc::ByteBuffer* in,
                                       grpc::ByteBuffer* out) override {
    return AnswerUnary<lm::v1::ListModelsRequest, lm::v1::ListModelsResponse>(
        gate_, context, *in, out,
        [this](const lm::v1::ListModelsRequest&,
               lm::v1::ListModelsResponse* response) {
          lmserve::ListModels(store_, response);
          return absl::OkStatus();
        });
  }

  grpc::ServerUnaryReactor* GetModel(grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* in,
                                     grpc::ByteBuffer* out) override {
    return AnswerUnary<lm::v1::GetModelRequest, lm::v1::GetModelResponse>(
        gate_, context, *in, out,
        [this](const lm::v1::GetModelRequest& request,
               lm::v1::GetModelResponse* response) {
          return lmserve::GetModel(store_, request, response);
        });
  }

  grpc::ServerUnaryReactor* LoadModel(grpc::CallbackServerContext* context,
                                      const grpc::ByteBuffer* in,
                                      grpc::ByteBuffer* out) override {
    return Change(context, *in, out, lmserve::LoadModel);
  }

  grpc::ServerUnaryReactor* UnloadModel(grpc::CallbackServerContext* context,
                                        const grpc::ByteBuffer* in,
                                        grpc::ByteBuffer* out) override {
    return Change(context, *in, out, lmserve::UnloadModel);
  }

  grpc::ServerUnaryReactor* SetAlias(grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* in,
                                     grpc::ByteBuffer* out) override {
    return Change(context, *in, out, lmserve::SetAlias);
  }

 private:
  // Loading takes its time, and another thread's: the call ends when `change`
  // is done, and counts as under way until then.
  template <typename Request, typename Response>
  grpc::ServerUnaryReactor* Change(grpc::CallbackServerContext* context,
                                   const grpc::ByteBuffer& in,
                                   grpc::ByteBuffer* out,
                                   void (*change)(ModelStore&, const Request&,
                                                  Done<Response>)) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    const auto pass = std::make_shared<CallGate::Pass>(gate_.Enter());
    Request request;
    absl::Status status = *pass == nullptr ? ShuttingDown() : absl::OkStatus();
    if (status.ok() && admin_ == nullptr) status = NotHere();
    if (status.ok()) status = ParseMessage(in, &request);
    if (!status.ok()) {
      reactor->Finish(ToGrpcStatus(status));
      return reactor;
    }
    change(*admin_, request,
           [pass, reactor, out](const absl::StatusOr<Response>& response) {
             if (response.ok()) SerializeMessage(*response, out);
             reactor->Finish(ToGrpcStatus(response.status()));
           });
    return reactor;
  }

  const ModelStore& store_;
  ModelStore* const admin_;
  CallGate& gate_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeModelService(const ModelStore& store,
                                                CallGate& gate) {
  return std::make_unique<ModelServiceImpl>(store, nullptr, gate);
}

std::unique_ptr<grpc::Service> MakeAdminService(ModelStore& store,
                                                CallGate& gate) {
  return std::make_unique<ModelServiceImpl>(store, &store, gate);
}

}  // namespace lmserve
