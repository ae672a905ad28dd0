// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/language_model_service.h"

#include <memory>
#include <utility>

#include "lm/v1/language_model.grpc.pb.h"
#include "server/handlers/classify.h"
#include "server/handlers/decoder.h"
#include "server/handlers/embed.h"
#include "server/handlers/generation.h"
#include "server/handlers/inspect.h"
#include "server/handlers/predict.h"
#include "server/handlers/rerank.h"
#include "server/handlers/score.h"
#include "server/handlers/tag.h"
#include "server/handlers/vocabulary_listing.h"
#include "server/rpc/grpc_call.h"
#include "server/rpc/grpc_status.h"
#include "server/rpc/stream.h"
#include "server/rpc/unary.h"
#include "server/rpc/wire.h"
#include "server/transport/streaming.h"

namespace lmserve {
namespace {

using lm::v1::LanguageModelService;

// Answers a stream of requests. `make_answer` gets the call and returns the
// function that answers each request, as AnswerRequests() needs it.
template <typename Request, typename Response, typename MakeAnswer>
DetachedTask AnswerStream(const CallInterceptor& interceptor,
                          absl::string_view method,
                          grpc::CallbackServerContext& context,
                          Priority priority, BidiStream* stream,
                          MakeAnswer make_answer) {
  GrpcCall call(context, priority);
  CallScope scope(interceptor, call, method);
  absl::Status status = scope.status();
  if (status.ok()) {
    EndEarly(&scope, call, [&scope, stream] {
      return stream->FinishRead(ToGrpcStatus(scope.CheckContinues()));
    });
    const auto answer = make_answer(call);
    GrpcMessages messages(stream);
    status = co_await AnswerRequests<Request, Response>(
        interceptor, call, scope, messages, answer);
  }
  scope.Leave(status);
  stream->FinishOnce(ToGrpcStatus(status));
}

// Parses a request and starts its generation. Frees the parsed request; the
// bytes stay reserved, because gRPC holds them until the call ends.
absl::StatusOr<std::unique_ptr<Generation>> StartGeneration(
    const ServingContext& serving, Call& call, const grpc::ByteBuffer& in,
    RequestReader* reader) {
  absl::StatusOr<std::unique_ptr<Generation>> generation;
  {
    lm::v1::GenerateRequest request;
    absl::Status status = ReadRequest(in, reader, &request);
    if (!status.ok()) return status;
    generation = Generation::Start(serving, call, request);
  }
  // Cannot fail, because the reservation does not grow.
  (void)reader->Reserve(in.Length());
  return generation;
}

DetachedTask AnswerGenerate(const ServingContext& serving,
                            const CallInterceptor& interceptor,
                            grpc::CallbackServerContext& context,
                            const grpc::ByteBuffer& in, WriteStream* stream) {
  GrpcCall call(context, Priority::kInteractive);
  CallScope scope(interceptor, call, "Generate");
  RequestReader reader(interceptor.request_bytes());
  std::unique_ptr<Generation> generation;
  absl::Status status = scope.status();
  if (status.ok()) {
    EndEarly(&scope, call, [] { return false; });
    auto started = StartGeneration(serving, call, in, &reader);
    status = started.status();
    if (status.ok()) generation = *std::move(started);
  }
  if (status.ok()) {
    WordTimer timer(interceptor, scope);
    const auto next =
        [&](lm::v1::GenerateResponse* response) -> Task<absl::StatusOr<bool>> {
      absl::StatusOr<bool> more = co_await generation->Next(response);
      if (more.ok() && *more) timer.OnWord(generation->model());
      co_return more;
    };
    GrpcMessages messages(stream);
    status = co_await WriteAll<lm::v1::GenerateResponse>(interceptor, call,
                                                         scope, messages, next);
  }
  scope.Leave(status);
  stream->Finish(ToGrpcStatus(status));
}

DetachedTask AnswerGetVocabulary(const ServingContext& serving,
                                 const CallInterceptor& interceptor,
                                 grpc::CallbackServerContext& context,
                                 const grpc::ByteBuffer& in,
                                 WriteStream* stream) {
  GrpcCall call(context, Priority::kInteractive);
  CallScope scope(interceptor, call, "GetVocabulary");
  RequestReader reader(interceptor.request_bytes());
  lm::v1::GetVocabularyRequest request;
  absl::Status status = scope.status();
  if (status.ok()) {
    EndEarly(&scope, call, [] { return false; });
    status = ReadRequest(in, &reader, &request);
  }
  if (status.ok()) {
    absl::StatusOr<VocabularyListing> listing =
        VocabularyListing::Start(serving, call, request);
    status = listing.status();
    if (status.ok()) {
      const auto next = [&](lm::v1::GetVocabularyResponse* response)
          -> Task<absl::StatusOr<bool>> { co_return listing->Next(response); };
      GrpcMessages messages(stream);
      status = co_await WriteAll<lm::v1::GetVocabularyResponse>(
          interceptor, call, scope, messages, next);
    }
  }
  scope.Leave(status);
  stream->Finish(ToGrpcStatus(status));
}

// The methods that answer one request with one response, without a stream.
using UnaryLanguageModelService =
    LanguageModelService::WithRawCallbackMethod_Score<
        LanguageModelService::WithRawCallbackMethod_Predict<
            LanguageModelService::WithRawCallbackMethod_Rerank<
                LanguageModelService::WithRawCallbackMethod_Inspect<
                    LanguageModelService::WithRawCallbackMethod_Embed<
                        LanguageModelService::WithRawCallbackMethod_Tag<
                            LanguageModelService::
                                WithRawCallbackMethod_Classify<
                                    LanguageModelService::Service>>>>>>>;

using RawLanguageModelService =
    LanguageModelService::WithRawCallbackMethod_ScoreStream<
        LanguageModelService::WithRawCallbackMethod_Generate<
            LanguageModelService::WithRawCallbackMethod_Decode<
                LanguageModelService::WithRawCallbackMethod_GetVocabulary<
                    UnaryLanguageModelService>>>>;

class LanguageModelServiceImpl final : public RawLanguageModelService {
 public:
  LanguageModelServiceImpl(const ServingContext& serving,
                           const CallInterceptor& interceptor)
      : serving_(serving), interceptor_(interceptor) {}

  grpc::ServerUnaryReactor* Score(grpc::CallbackServerContext* context,
                                  const grpc::ByteBuffer* request,
                                  grpc::ByteBuffer* response) override {
    return Answer<lm::v1::ScoreRequest, lm::v1::ScoreResponse>(
        "Score", context, request, response, HandleScore);
  }

  grpc::ServerUnaryReactor* Predict(grpc::CallbackServerContext* context,
                                    const grpc::ByteBuffer* request,
                                    grpc::ByteBuffer* response) override {
    return Answer<lm::v1::PredictRequest, lm::v1::PredictResponse>(
        "Predict", context, request, response, HandlePredict);
  }

  grpc::ServerUnaryReactor* Rerank(grpc::CallbackServerContext* context,
                                   const grpc::ByteBuffer* request,
                                   grpc::ByteBuffer* response) override {
    return Answer<lm::v1::RerankRequest, lm::v1::RerankResponse>(
        "Rerank", context, request, response, HandleRerank);
  }

  grpc::ServerUnaryReactor* Inspect(grpc::CallbackServerContext* context,
                                    const grpc::ByteBuffer* request,
                                    grpc::ByteBuffer* response) override {
    return Answer<lm::v1::InspectRequest, lm::v1::InspectResponse>(
        "Inspect", context, request, response, HandleInspect);
  }

  grpc::ServerUnaryReactor* Embed(grpc::CallbackServerContext* context,
                                  const grpc::ByteBuffer* request,
                                  grpc::ByteBuffer* response) override {
    return Answer<lm::v1::EmbedRequest, lm::v1::EmbedResponse>(
        "Embed", context, request, response, HandleEmbed);
  }

  grpc::ServerUnaryReactor* Tag(grpc::CallbackServerContext* context,
                                const grpc::ByteBuffer* request,
                                grpc::ByteBuffer* response) override {
    return Answer<lm::v1::TagRequest, lm::v1::TagResponse>(
        "Tag", context, request, response, HandleTag);
  }

  grpc::ServerUnaryReactor* Classify(grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* request,
                                     grpc::ByteBuffer* response) override {
    return Answer<lm::v1::ClassifyRequest, lm::v1::ClassifyResponse>(
        "Classify", context, request, response, HandleClassify);
  }

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* ScoreStream(
      grpc::CallbackServerContext* context) override {
    auto stream = std::make_unique<BidiStream>();
    AnswerStream<lm::v1::ScoreRequest, lm::v1::ScoreResponse>(
        interceptor_, "ScoreStream", *context, Priority::kBulk, stream.get(),
        [this](Call& call) {
          return [this, &call](const lm::v1::ScoreRequest& request,
                               lm::v1::ScoreResponse* response) {
            return HandleScore(serving_, call, request, response);
          };
        });
    return stream.release();
  }

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Decode(
      grpc::CallbackServerContext* context) override {
    auto stream = std::make_unique<BidiStream>();
    AnswerStream<lm::v1::DecodeRequest, lm::v1::DecodeResponse>(
        interceptor_, "Decode", *context, Priority::kInteractive, stream.get(),
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
    AnswerGenerate(serving_, interceptor_, *context, *request, stream.get());
    return stream.release();
  }

  grpc::ServerWriteReactor<grpc::ByteBuffer>* GetVocabulary(
      grpc::CallbackServerContext* context,
      const grpc::ByteBuffer* request) override {
    auto stream = std::make_unique<WriteStream>();
    AnswerGetVocabulary(serving_, interceptor_, *context, *request,
                        stream.get());
    return stream.release();
  }

 private:
  template <typename Request, typename Response>
  grpc::ServerUnaryReactor* Answer(
      absl::string_view method, grpc::CallbackServerContext* context,
      const grpc::ByteBuffer* in, grpc::ByteBuffer* out,
      Task<absl::Status> (*answer)(const ServingContext&, Call&, const Request&,
                                   Response*)) {
    auto reactor =
        std::make_unique<UnaryReactor>(*context, Priority::kInteractive);
    AnswerUnary<Request, Response>(
        interceptor_, method, Role::kRead, *in, out, reactor.get(),
        [=, this](Call& call, const Request& request, Response* response) {
          return answer(serving_, call, request, response);
        });
    return reactor.release();
  }

  const ServingContext serving_;
  const CallInterceptor& interceptor_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeLanguageModelService(
    const ServingContext& serving, const CallInterceptor& interceptor) {
  return std::make_unique<LanguageModelServiceImpl>(serving, interceptor);
}

}  // namespace lmserve
