// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "lm/v1/language_model.pb.h"
#include "models/printable_text.h"
#include "server/call/status.h"
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
#include "server/http/http_api.h"
#include "server/http/http_call.h"
#include "server/http/http_messages.h"
#include "server/http/http_reply.h"
#include "server/http/http_unary.h"
#include "server/transport/streaming.h"

namespace lmserve {
namespace {

using Stream = std::shared_ptr<HttpStream>;

// Sets the model that the path names, which the body may repeat.
template <typename Request>
absl::Status SetModel(const std::string& model, Request* request) {
  if (model.empty() || request->model() == model) return absl::OkStatus();
  if (!request->model().empty()) {
    return InvalidField(
        "model",
        absl::StrCat("expected the one of the path, '", Printable(model),
                     "', found '", Printable(request->model()), "'"));
  }
  request->set_model(model);
  return absl::OkStatus();
}

// Ends the call of a stream and its answer, which may have no messages yet.
// Returns whether the connection may be kept.
Task<bool> EndStream(const HttpContext& context, HttpStream& stream,
                     const TransportCall& call, CallScope& scope,
                     std::optional<HttpMessages>* messages,
                     const absl::Status& status) {
  scope.Leave(status);
  bool may_keep = false;
  if (messages->has_value()) {
    may_keep = co_await (*messages)->End(status);
  } else if (!absl::IsCancelled(status)) {
    may_keep = co_await SendError(context, stream, call, status);
  }
  messages->reset();
  co_return may_keep;
}

DetachedTask AnswerGenerate(const ServingContext& serving,
                            const HttpContext& context, std::string model,
                            Stream stream) {
  HttpCall call(*stream, Priority::kInteractive);
  CallScope scope(context.interceptor, call, "Generate");
  RequestReader reader(context.interceptor.request_bytes());
  std::optional<HttpMessages> messages;
  std::unique_ptr<Generation> generation;
  absl::Status status = scope.status();
  if (status.ok()) {
    EndEarly(&scope, call, [] { return false; });
    lm::v1::GenerateRequest request;
    status = co_await ReadJsonRequest(context, *stream, &reader, &request);
    if (status.ok()) status = SetModel(model, &request);
    if (status.ok()) {
      auto started = Generation::Start(serving, call, request);
      status = started.status();
      if (started.ok()) generation = *std::move(started);
    }
  }
  // The request does not exist any more. This cannot fail.
  (void)reader.Reserve(0);
  if (status.ok()) {
    messages.emplace(context, *stream, call,
                     AcceptedForm(stream->request().Field("accept")));
    WordTimer timer(context.interceptor, scope);
    const auto next =
        [&](lm::v1::GenerateResponse* response) -> Task<absl::StatusOr<bool>> {
      absl::StatusOr<bool> more = co_await generation->Next(response);
      if (more.ok() && *more) timer.OnWord(generation->model());
      co_return more;
    };
    status = co_await WriteAll<lm::v1::GenerateResponse>(
        context.interceptor, call, scope, *messages, next);
  }
  generation.reset();
  const bool may_keep =
      co_await EndStream(context, *stream, call, scope, &messages, status);
  FinishStream(std::move(stream), may_keep);
}

DetachedTask AnswerGetVocabulary(const ServingContext& serving,
                                 const HttpContext& context, std::string model,
                                 Stream stream) {
  HttpCall call(*stream, Priority::kInteractive);
  CallScope scope(context.interceptor, call, "GetVocabulary");
  std::optional<HttpMessages> messages;
  absl::Status status = scope.status();
  if (status.ok()) {
    EndEarly(&scope, call, [] { return false; });
    lm::v1::GetVocabularyRequest request;
    request.set_model(model);
    absl::StatusOr<VocabularyListing> listing =
        VocabularyListing::Start(serving, call, request);
    status = listing.status();
    if (status.ok()) {
      messages.emplace(context, *stream, call,
                       AcceptedForm(stream->request().Field("accept")));
      const auto next = [&](lm::v1::GetVocabularyResponse* response)
          -> Task<absl::StatusOr<bool>> { co_return listing->Next(response); };
      status = co_await WriteAll<lm::v1::GetVocabularyResponse>(
          context.interceptor, call, scope, *messages, next);
    }
  }
  const bool may_keep =
      co_await EndStream(context, *stream, call, scope, &messages, status);
  FinishStream(std::move(stream), may_keep);
}

// Answers a stream of requests. `make_answer` gets the call and returns the
// function that answers each request, as AnswerRequests() needs it.
template <typename Request, typename Response, typename MakeAnswer>
DetachedTask AnswerStream(const HttpContext& context, absl::string_view method,
                          Priority priority, Stream stream,
                          MakeAnswer make_answer) {
  HttpCall call(*stream, priority);
  CallScope scope(context.interceptor, call, method);
  std::optional<HttpMessages> messages;
  absl::Status status = scope.status();
  if (status.ok()) {
    EndEarly(&scope, call, [&scope, stream = stream.get()] {
      stream->FinishRead(scope.CheckContinues());
      return false;
    });
    const auto answer = make_answer(call);
    messages.emplace(context, *stream, call, StreamForm::kLines,
                     Request::descriptor());
    status = co_await AnswerRequests<Request, Response>(
        context.interceptor, call, scope, *messages, answer);
  }
  const bool may_keep =
      co_await EndStream(context, *stream, call, scope, &messages, status);
  FinishStream(std::move(stream), may_keep);
}

// Returns the answer of a route for a method with one request.
template <typename Request, typename Response>
auto Unary(const ServingContext& serving, const HttpContext& context,
           absl::string_view method,
           Task<absl::Status> (*handle)(const ServingContext&, Call&,
                                        const Request&, Response*)) {
  return [&serving, &context, method, handle](Stream stream,
                                              const PathArguments& arguments) {
    const auto fill = [model =
                           ArgumentOf(arguments, "model")](Request* request) {
      if constexpr (std::is_same_v<Request, lm::v1::RerankRequest>) {
        return absl::OkStatus();
      } else {
        return SetModel(model, request);
      }
    };
    AnswerHttpUnary<Request, Response>(
        context, method, Role::kRead, RequestBody::kNeeded, std::move(stream),
        fill,
        [&serving, handle](Call& call, const Request& request,
                           Response* response) {
          return handle(serving, call, request, response);
        });
  };
}

}  // namespace

void AddLanguageModelRoutes(const ServingContext& serving,
                            const HttpContext& context, HttpRouter* router) {
  const auto score = Unary<lm::v1::ScoreRequest, lm::v1::ScoreResponse>(
      serving, context, "Score", HandleScore);
  router->Add({"POST", "/lm/v1/score", kJsonType, score});
  router->Add({"POST", "/lm/v1/models/{model}:score", kJsonType, score});
  const auto predict = Unary<lm::v1::PredictRequest, lm::v1::PredictResponse>(
      serving, context, "Predict", HandlePredict);
  router->Add({"POST", "/lm/v1/predict", kJsonType, predict});
  router->Add({"POST", "/lm/v1/models/{model}:predict", kJsonType, predict});
  router->Add({"POST", "/lm/v1/rerank", kJsonType,
               Unary<lm::v1::RerankRequest, lm::v1::RerankResponse>(
                   serving, context, "Rerank", HandleRerank)});
  const auto inspect = Unary<lm::v1::InspectRequest, lm::v1::InspectResponse>(
      serving, context, "Inspect", HandleInspect);
  router->Add({"POST", "/lm/v1/inspect", kJsonType, inspect});
  router->Add({"POST", "/lm/v1/models/{model}:inspect", kJsonType, inspect});
  const auto embed = Unary<lm::v1::EmbedRequest, lm::v1::EmbedResponse>(
      serving, context, "Embed", HandleEmbed);
  router->Add({"POST", "/lm/v1/embed", kJsonType, embed});
  router->Add({"POST", "/lm/v1/models/{model}:embed", kJsonType, embed});
  const auto tag = Unary<lm::v1::TagRequest, lm::v1::TagResponse>(
      serving, context, "Tag", HandleTag);
  router->Add({"POST", "/lm/v1/tag", kJsonType, tag});
  router->Add({"POST", "/lm/v1/models/{model}:tag", kJsonType, tag});
  const auto classify =
      Unary<lm::v1::ClassifyRequest, lm::v1::ClassifyResponse>(
          serving, context, "Classify", HandleClassify);
  router->Add({"POST", "/lm/v1/classify", kJsonType, classify});
  router->Add({"POST", "/lm/v1/models/{model}:classify", kJsonType, classify});
  const auto generate = [&](Stream stream, const PathArguments& arguments) {
    AnswerGenerate(serving, context, ArgumentOf(arguments, "model"),
                   std::move(stream));
  };
  router->Add({"POST", "/lm/v1/generate", kJsonType, generate});
  router->Add({"POST", "/lm/v1/models/{model}:generate", kJsonType, generate});
  router->Add({"GET", "/lm/v1/models/{model}/vocabulary", "",
               [&](Stream stream, const PathArguments& arguments) {
                 AnswerGetVocabulary(serving, context,
                                     ArgumentOf(arguments, "model"),
                                     std::move(stream));
               }});
  router->Add({"POST", "/lm/v1/score:stream", kNdjsonType,
               [&](Stream stream, const PathArguments&) {
                 AnswerStream<lm::v1::ScoreRequest, lm::v1::ScoreResponse>(
                     context, "ScoreStream", Priority::kBulk, std::move(stream),
                     [&serving](Call& call) {
                       return [&serving, &call](
                                  const lm::v1::ScoreRequest& request,
                                  lm::v1::ScoreResponse* response) {
                         return HandleScore(serving, call, request, response);
                       };
                     });
               }});
  router->Add({"POST", "/lm/v1/decode", kNdjsonType,
               [&](Stream stream, const PathArguments&) {
                 AnswerStream<lm::v1::DecodeRequest, lm::v1::DecodeResponse>(
                     context, "Decode", Priority::kInteractive,
                     std::move(stream), [&serving](Call& call) {
                       return
                           [decoder = std::make_unique<Decoder>(serving, call)](
                               const lm::v1::DecodeRequest& request,
                               lm::v1::DecodeResponse* response) {
                             return decoder->Answer(request, response);
                           };
                     });
               }});
}

}  // namespace lmserve
