// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/language_model_service.h"

#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lm/v1/language_model.grpc.pb.h"
#include "server/call/status.h"
#include "server/handlers/decoder.h"
#include "server/handlers/generation.h"
#include "server/handlers/inspect.h"
#include "server/handlers/predict.h"
#include "server/handlers/rerank.h"
#include "server/handlers/score.h"
#include "server/handlers/vocabulary_listing.h"
#include "server/rpc/grpc_call.h"
#include "server/rpc/grpc_status.h"
#include "server/rpc/request_reader.h"
#include "server/rpc/stream.h"
#include "server/rpc/unary.h"

namespace lmserve {
namespace {

using lm::v1::LanguageModelService;

// A stream whose token was revoked while the server waits for its client to
// read is cancelled at this check of the tokens.
constexpr int kCancelAtCheck = 3;

// Ends a stream soon after its token was revoked or the server has to end. The
// stream itself notices it before its next message, unless it waits for a
// request or for its client to read. `finish_read` ends a call that waits for a
// request, and returns whether it did.
void EndEarly(CallScope* scope, const TransportCall& call,
              const std::function<bool()>& finish_read) {
  scope->WatchToken([&call, finish_read, checks = std::make_shared<int>(0)] {
    if (finish_read() || ++*checks < kCancelAtCheck) return;
    call.Cancel(CancelReason::kRevoked);
  });
  scope->WatchShutdown([finish_read] { finish_read(); });
}

// Answers one request of a stream. Reserves the bytes of the answer before it
// is serialized.
template <typename Request, typename Response, typename Handle>
Task<absl::Status> AnswerOne(const CallInterceptor& interceptor,
                             const TransportCall& call,
                             const grpc::ByteBuffer& in, grpc::ByteBuffer* out,
                             std::optional<PendingWrite>* pending_write,
                             const Handle& answer) {
  Exchange<Request, Response> exchange(interceptor.request_bytes());
  absl::Status status = exchange.Parse(in);
  if (!status.ok()) co_return status;
  status = co_await answer(exchange.request(), exchange.response());
  if (!status.ok()) co_return status;
  pending_write->emplace(interceptor, call, exchange.response_bytes());
  status = (*pending_write)->status();
  if (status.ok()) exchange.Serialize(out);
  co_return status;
}

// Reads a request, writes its response, and repeats this until the client sends
// no more requests. The first error ends the stream; its message begins with
// the number of the request, counted from 0. `make_answer` gets the call and
// returns the function that answers each request,
// Task<absl::Status>(const Request&, Response*).
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
  }
  const auto answer = make_answer(call);
  for (uint64_t number = 0; status.ok(); ++number) {
    grpc::ByteBuffer in, out;
    const bool has_request = co_await stream->Read(&in);
    status = scope.CheckContinues();
    if (!status.ok()) break;
    if (!has_request) {
      status = call.CheckWanted();
      break;
    }
    call.BeginRequest();
    std::optional<PendingWrite> pending_write;
    status = co_await AnswerOne<Request, Response>(interceptor, call, in, &out,
                                                   &pending_write, answer);
    if (!status.ok()) {
      status = Prefixed(absl::StrCat("request ", number, ": "), status);
      break;
    }
    in.Clear();
    const bool written = co_await stream->Write(&out);
    if (!written) status = Call::Cancelled();
  }
  scope.Leave(status);
  stream->FinishOnce(ToGrpcStatus(status));
}

// Parses a request and starts its generation. Frees the parsed request; the
// reader keeps the bytes reserved, because gRPC holds them until the call ends.
absl::StatusOr<std::unique_ptr<Generation>> StartGeneration(
    const ServingContext& serving, Call& call, const grpc::ByteBuffer& in,
    RequestReader* reader) {
  absl::StatusOr<std::unique_ptr<Generation>> generation;
  {
    lm::v1::GenerateRequest request;
    absl::Status status = reader->Read(in, &request);
    if (!status.ok()) return status;
    generation = Generation::Start(serving, call, request);
  }
  reader->OnRequestFreed(in);
  return generation;
}

// Writes the messages of `next`, Task<absl::StatusOr<bool>>(Response*), which
// returns false after the last one. A message is computed only when the one
// before is written. So a slow client delays only its own stream, and a
// cancelled call stops within one message.
template <typename Response, typename Next>
Task<absl::Status> WriteAll(const CallInterceptor& interceptor,
                            const TransportCall& call, const CallScope& scope,
                            WriteStream* stream, Next next) {
  grpc::ByteBuffer out;
  while (true) {
    Response response;
    const absl::StatusOr<bool> more = co_await next(&response);
    if (!more.ok() || !*more) co_return more.status();
    absl::Status status = scope.CheckContinues();
    if (!status.ok()) co_return status;
    const PendingWrite pending_write(interceptor, call,
                                     response.ByteSizeLong());
    if (!pending_write.status().ok()) co_return pending_write.status();
    SerializeMeasured(response, &out);
    const bool written = co_await stream->Write(&out);
    if (!written) co_return Call::Cancelled();
  }
}

// Measures how long a stream of generated words takes for each.
class WordTimer {
 public:
  WordTimer(const CallInterceptor& interceptor, const CallScope& scope)
      : metrics_(interceptor.metrics()), scope_(scope) {}

  void OnWord(const LoadedVersion& model) {
    const double now = scope_.seconds();
    if (last_ < 0) {
      metrics_.OnFirstWord(model, now);
    } else {
      metrics_.OnNextWord(model, now - last_);
    }
    last_ = now;
  }

 private:
  Metrics& metrics_;
  const CallScope& scope_;
  double last_ = -1;  // when the last word came; negative: none yet
};

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
    status = co_await WriteAll<lm::v1::GenerateResponse>(interceptor, call,
                                                         scope, stream, next);
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
    status = reader.Read(in, &request);
  }
  if (status.ok()) {
    absl::StatusOr<VocabularyListing> listing =
        VocabularyListing::Start(serving, call, request);
    status = listing.status();
    if (status.ok()) {
      const auto next = [&](lm::v1::GetVocabularyResponse* response)
          -> Task<absl::StatusOr<bool>> { co_return listing->Next(response); };
      status = co_await WriteAll<lm::v1::GetVocabularyResponse>(
          interceptor, call, scope, stream, next);
    }
  }
  scope.Leave(status);
  stream->Finish(ToGrpcStatus(status));
}

using RawLanguageModelService =
    LanguageModelService::WithRawCallbackMethod_Score<
        LanguageModelService::WithRawCallbackMethod_ScoreStream<
            LanguageModelService::WithRawCallbackMethod_Predict<
                LanguageModelService::WithRawCallbackMethod_Rerank<
                    LanguageModelService::WithRawCallbackMethod_Generate<
                        LanguageModelService::WithRawCallbackMethod_Decode<
                            LanguageModelService::
                                WithRawCallbackMethod_GetVocabulary<
                                    LanguageModelService::
                                        WithRawCallbackMethod_Inspect<
                                            LanguageModelService::
                                                Service>>>>>>>>;

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
