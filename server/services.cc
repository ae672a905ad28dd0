#include "server/services.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "lm/v1/language_model.grpc.pb.h"
#include "server/decoder.h"
#include "server/generation.h"
#include "server/models.h"
#include "server/predict.h"
#include "server/rerank.h"
#include "server/score.h"
#include "server/stream.h"
#include "server/unary.h"

namespace lmserve {
namespace {

using lm::v1::LanguageModelService;
using lm::v1::ModelService;

// Reads a request, writes its answer, and so on until the client is done. The
// first error ends the stream, and tells which request it is of, the first
// being 0. `make_answer` makes of the call what answers each of its requests,
// Task<absl::Status>(const Request&, Response*).
template <typename Request, typename Response, typename MakeAnswer>
Detached AnswerStream(CallGate& gate,
                      const grpc::CallbackServerContext& context,
                      Priority priority, BidiStream* stream,
                      MakeAnswer make_answer) {
  const CallGate::Pass pass = gate.Enter();
  if (pass == nullptr) {
    stream->Finish(ToGrpcStatus(ShuttingDown()));
    co_return;
  }
  GrpcCall call(context, priority);
  const auto answer = make_answer(call);
  grpc::ByteBuffer in, out;
  for (uint64_t number = 0;; ++number) {
    const bool came = co_await stream->Read(&in);
    if (!came) break;
    Exchange<Request, Response> exchange;
    const absl::Status status = co_await exchange.Answer(in, &out, answer);
    if (!status.ok()) {
      stream->Finish(ToGrpcStatus(
          Prefixed(absl::StrCat("request ", number, ": "), status)));
      co_return;
    }
    const bool written = co_await stream->Write(&out);
    if (!written) {
      stream->Finish(grpc::Status::CANCELLED);
      co_return;
    }
  }
  stream->Finish(grpc::Status::OK);
}

absl::StatusOr<std::unique_ptr<Generation>> StartGeneration(
    const Serving& serving, Call& call, const grpc::ByteBuffer& bytes) {
  lm::v1::GenerateRequest request;
  absl::Status status = ParseMessage(bytes, &request);
  if (!status.ok()) return status;
  return Generation::Start(serving, call, request);
}

// Draws a word when the one before is on its way: a slow reader holds up its
// own stream alone, and a cancelled one stops within a word.
Detached AnswerGenerate(const Serving& serving, CallGate& gate,
                        const grpc::CallbackServerContext& context,
                        const grpc::ByteBuffer& in, WriteStream* stream) {
  const CallGate::Pass pass = gate.Enter();
  if (pass == nullptr) {
    stream->Finish(ToGrpcStatus(ShuttingDown()));
    co_return;
  }
  GrpcCall call(context, Priority::kInteractive);
  const auto generation = StartGeneration(serving, call, in);
  absl::Status status = generation.status();
  grpc::ByteBuffer out;
  while (status.ok()) {
    lm::v1::GenerateResponse response;
    const absl::StatusOr<bool> more = co_await (*generation)->Next(&response);
    status = more.status();
    if (!status.ok() || !*more) break;
    SerializeMessage(response, &out);
    const bool written = co_await stream->Write(&out);
    if (!written) status = absl::CancelledError("the client is gone");
  }
  stream->Finish(ToGrpcStatus(status));
}

using RawLanguageModelService =
    LanguageModelService::WithRawCallbackMethod_Score<
        LanguageModelService::WithRawCallbackMethod_ScoreStream<
            LanguageModelService::WithRawCallbackMethod_Predict<
                LanguageModelService::WithRawCallbackMethod_Rerank<
                    LanguageModelService::WithRawCallbackMethod_Generate<
                        LanguageModelService::WithRawCallbackMethod_Decode<
                            LanguageModelService::Service>>>>>>;

class LanguageModelServiceImpl final : public RawLanguageModelService {
 public:
  LanguageModelServiceImpl(const Serving& serving, CallGate& gate)
      : serving_(serving), gate_(gate) {}

  grpc::ServerUnaryReactor* Score(grpc::CallbackServerContext* context,
                                  const grpc::ByteBuffer* request,
                                  grpc::ByteBuffer* response) override {
    return Answer<lm::v1::ScoreRequest, lm::v1::ScoreResponse>(
        context, request, response, lmserve::Score);
  }

  grpc::ServerUnaryReactor* Predict(grpc::CallbackServerContext* context,
                                    const grpc::ByteBuffer* request,
                                    grpc::ByteBuffer* response) override {
    return Answer<lm::v1::PredictRequest, lm::v1::PredictResponse>(
        context, request, response, lmserve::Predict);
  }

  grpc::ServerUnaryReactor* Rerank(grpc::CallbackServerContext* context,
                                   const grpc::ByteBuffer* request,
                                   grpc::ByteBuffer* response) override {
    return Answer<lm::v1::RerankRequest, lm::v1::RerankResponse>(
        context, request, response, lmserve::Rerank);
  }

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* ScoreStream(
      grpc::CallbackServerContext* context) override {
    auto stream = std::make_unique<BidiStream>();
    AnswerStream<lm::v1::ScoreRequest, lm::v1::ScoreResponse>(
        gate_, *context, Priority::kBulk, stream.get(), [this](Call& call) {
          return [this, &call](const lm::v1::ScoreRequest& request,
                               lm::v1::ScoreResponse* response) {
            return lmserve::Score(serving_, call, request, response);
          };
        });
    return stream.release();
  }

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Decode(
      grpc::CallbackServerContext* context) override {
    auto stream = std::make_unique<BidiStream>();
    AnswerStream<lm::v1::DecodeRequest, lm::v1::DecodeResponse>(
        gate_, *context, Priority::kInteractive, stream.get(),
        [this](Call& call) {
          return [decoder = std::make_unique<Decoder>(serving_, call)](
                     const lm::v1::DecodeRequest& request,
                     lm::v1::DecodeResponse* response) {
            return decoder->Answer(request, response);
          };
        });
    return stream.release();
  }

  grpc::ServerWriteReactor<grpc::ByteBuffer>* Generate(
      grpc::CallbackServerContext* context,
      const grpc::ByteBuffer* request) override {
    auto stream = std::make_unique<WriteStream>();
    AnswerGenerate(serving_, gate_, *context, *request, stream.get());
    return stream.release();
  }

 private:
  template <typename Request, typename Response>
  grpc::ServerUnaryReactor* Answer(
      grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
      grpc::ByteBuffer* out,
      Task<absl::Status> (*answer)(const Serving&, Call&, const Request&,
                                   Response*)) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    AnswerUnary<Request, Response>(
        gate_, *context, *in, out, reactor,
        [=, this](Call& call, const Request& request, Response* response) {
          return answer(serving_, call, request, response);
        });
    return reactor;
  }

  const Serving serving_;
  CallGate& gate_;
};

using RawModelService = ModelService::WithRawCallbackMethod_ListModels<
    ModelService::WithRawCallbackMethod_GetModel<ModelService::Service>>;

class ModelServiceImpl final : public RawModelService {
 public:
  ModelServiceImpl(const ModelStore& store, CallGate& gate)
      : store_(store), gate_(gate) {}

  grpc::ServerUnaryReactor* ListModels(grpc::CallbackServerContext* context,
                                       const grpc::ByteBuffer* in,
                                       grpc::ByteBuffer* out) override {
    return Answer<lm::v1::ListModelsRequest, lm::v1::ListModelsResponse>(
        context, in, out, lmserve::ListModels);
  }

  grpc::ServerUnaryReactor* GetModel(grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* in,
                                     grpc::ByteBuffer* out) override {
    return Answer<lm::v1::GetModelRequest, lm::v1::GetModelResponse>(
        context, in, out, lmserve::GetModel);
  }

 private:
  template <typename Request, typename Response>
  grpc::ServerUnaryReactor* Answer(
      grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
      grpc::ByteBuffer* out,
      absl::Status (*answer)(const ModelStore&, const Request&, Response*)) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    AnswerUnary<Request, Response>(
        gate_, *context, *in, out, reactor,
        [=, this](Call&, const Request& request,
                  Response* response) -> Task<absl::Status> {
          co_return answer(store_, request, response);
        });
    return reactor;
  }

  const ModelStore& store_;
  CallGate& gate_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeLanguageModelService(const Serving& serving,
                                                        CallGate& gate) {
  return std::make_unique<LanguageModelServiceImpl>(serving, gate);
}

std::unique_ptr<grpc::Service> MakeModelService(const ModelStore& store,
                                                CallGate& gate) {
  return std::make_unique<ModelServiceImpl>(store, gate);
}

}  // namespace lmserve
