// SPDX-License-Identifier: Apache-2.0
#include "server/openai/openai_routes.h"

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "models/printable_text.h"
#include "server/call/status.h"
#include "server/handlers/embed.h"
#include "server/http/http_call.h"
#include "server/http/http_reply.h"
#include "server/http/query.h"
#include "server/openai/completion.h"
#include "server/openai/completion_json.h"
#include "server/openai/completion_request.h"
#include "server/openai/completion_stream.h"
#include "server/openai/embedding_json.h"
#include "server/openai/embedding_request.h"
#include "server/openai/json_object.h"
#include "server/openai/openai_error.h"
#include "server/openai/tokenizer.h"
#include "server/transport/streaming.h"

namespace lmserve {
namespace {

using nlohmann::ordered_json;
using Stream = std::shared_ptr<HttpStream>;

// The path below which the routes mean one model.
constexpr char kModelPath[] = "/models/{model}";

// The memory of a request that was parsed, for each byte of its body: the
// prompts, as text and as words.
constexpr size_t kKeptMemory = 8;

// Reads the body of a request, if it has one. `reader` reserves what it takes
// when it is parsed.
Task<absl::Status> ReadJsonBody(const HttpContext& context, HttpStream& stream,
                                RequestReader* reader, std::string* body) {
  absl::Status status = co_await ReadBody(context, stream, reader, body);
  if (!status.ok()) co_return status;
  status = reader->Reserve(JsonObject::MemoryOfParsing(body->size()));
  if (status.ok()) co_await EnterThreadFor(context, stream, body->size());
  co_return status;
}

// Ends a call and sends its answer, or its error. Returns whether the
// connection may be kept.
Task<bool> Reply(const HttpContext& context, HttpStream& stream, HttpCall& call,
                 CallScope& scope, absl::StatusOr<std::string> json,
                 absl::string_view text_member = "prompt") {
  std::optional<PendingWrite> pending_write;
  if (json.ok()) {
    pending_write.emplace(context.interceptor, call, json->size());
    if (!pending_write->status().ok()) json = pending_write->status();
  }
  const absl::Status status = json.status();
  scope.Leave(status);
  if (status.ok()) {
    co_return co_await SendReply(context, stream, call, 200, kJsonType,
                                 *std::move(json));
  }
  if (absl::IsCancelled(status)) co_return false;
  co_return co_await SendError(context, stream, call, status,
                               OpenAiErrorJson(status, text_member));
}

// Answers a call with what `answer` returns for the body of the request.
DetachedTask AnswerOnce(
    const HttpContext& context, absl::string_view method, Stream stream,
    std::function<absl::StatusOr<std::string>(Call&, const std::string& body)>
        answer) {
  HttpCall call(*stream, Priority::kInteractive);
  CallScope scope(context.interceptor, call, method);
  RequestReader reader(context.interceptor.request_bytes());
  std::string body;
  absl::Status status = scope.status();
  if (status.ok()) {
    status = co_await ReadJsonBody(context, *stream, &reader, &body);
  }
  absl::StatusOr<std::string> json;
  if (status.ok()) {
    json = answer(call, body);
  } else {
    json = status;
  }
  const bool may_keep =
      co_await Reply(context, *stream, call, scope, std::move(json));
  FinishStream(std::move(stream), may_keep);
}

// Returns the name of the model, which the path or the request has, or both.
absl::StatusOr<std::string> ModelName(const std::string& of_path,
                                      const std::string& of_request) {
  if (of_path.empty() || of_request.empty() || of_path == of_request) {
    return of_path.empty() ? of_request : of_path;
  }
  return InvalidField("model", absl::StrCat("expected the one of the path, '",
                                            Printable(of_path), "', found '",
                                            Printable(of_request), "'"));
}

// The same for a request that must name one.
absl::StatusOr<std::string> NeededModelName(const std::string& of_path,
                                            const std::string& of_request) {
  absl::StatusOr<std::string> name = ModelName(of_path, of_request);
  if (name.ok() && name->empty()) {
    return InvalidField("model", "expected the name of a model, found none");
  }
  return name;
}

// Parses a request for completions, finds its model and checks it.
Task<absl::StatusOr<std::unique_ptr<Completion>>> StartCompletion(
    const ServingContext& serving, const HttpContext& context,
    HttpStream& stream, HttpCall& call, RequestReader* reader,
    const std::string& model) {
  std::string body;
  absl::Status status = co_await ReadJsonBody(context, stream, reader, &body);
  if (!status.ok()) co_return status;
  absl::StatusOr<CompletionRequest> request = ParseCompletionRequest(body);
  if (!request.ok()) co_return request.status();
  absl::StatusOr<std::string> name = NeededModelName(model, request->model);
  if (!name.ok()) co_return name.status();
  request->model = *std::move(name);
  // Cannot fail, because it is less than before.
  (void)reader->Reserve(kKeptMemory * body.size());
  co_return Completion::Start(serving, call, *std::move(request));
}

// Collects the whole answer.
Task<absl::StatusOr<std::string>> AllChoices(const ServingContext& serving,
                                             WordTimer& timer,
                                             Completion& completion) {
  Budget::Reservation answer_bytes(serving.budgets.answer_bytes);
  std::vector<CompletionPiece> choices(completion.choices());
  uint64_t bytes = choices.size() * kChoiceBytes;
  while (true) {
    CompletionPiece piece;
    const absl::StatusOr<bool> more = co_await completion.Next(&piece);
    if (!more.ok()) co_return more.status();
    if (!*more) break;
    if (piece.is_word) timer.OnWord(completion.model());
    bytes += PieceBytes(piece);
    choices[piece.choice].Append(std::move(piece));
    absl::Status status = answer_bytes.Resize("answer bytes", bytes);
    if (!status.ok()) co_return status;
  }
  std::string json;
  for (const CompletionPiece& choice : choices) {
    if (!json.empty()) json.push_back(',');
    AppendChoice(completion.request(), choice, &json);
  }
  co_return CompletionJson(MakeCompletionHead(completion.model()), json,
                           UsageJson(completion));
}

// Sends the pieces of a completion as they are drawn, and ends the call.
// Returns whether the connection may be kept.
Task<bool> StreamPieces(const HttpContext& context, HttpStream& stream,
                        HttpCall& call, CallScope& scope, WordTimer& timer,
                        Completion& completion) {
  CompletionStream events(context, stream, call, completion);
  const auto next = [&](CompletionPiece* piece) -> Task<absl::StatusOr<bool>> {
    absl::StatusOr<bool> more = co_await completion.Next(piece);
    if (more.ok() && piece->is_word) timer.OnWord(completion.model());
    co_return more;
  };
  const absl::Status status = co_await WriteAll<CompletionPiece>(
      context.interceptor, call, scope, events, next);
  scope.Leave(status);
  co_return co_await events.End(status);
}

DetachedTask AnswerCompletions(const ServingContext& serving,
                               const HttpContext& context, std::string model,
                               Stream stream) {
  HttpCall call(*stream, Priority::kInteractive);
  CallScope scope(context.interceptor, call, "Completions");
  RequestReader reader(context.interceptor.request_bytes());
  absl::StatusOr<std::unique_ptr<Completion>> completion;
  if (scope.status().ok()) {
    EndEarly(&scope, call, [] { return false; });
    completion = co_await StartCompletion(serving, context, *stream, call,
                                          &reader, model);
  } else {
    completion = scope.status();
  }
  WordTimer timer(context.interceptor, scope);
  bool may_keep;
  if (completion.ok() && (*completion)->request().stream) {
    may_keep = co_await StreamPieces(context, *stream, call, scope, timer,
                                     **completion);
  } else {
    absl::StatusOr<std::string> json;
    if (completion.ok()) {
      json = co_await AllChoices(serving, timer, **completion);
    } else {
      json = completion.status();
    }
    may_keep = co_await Reply(context, *stream, call, scope, std::move(json));
  }
  completion = absl::CancelledError();
  FinishStream(std::move(stream), may_keep);
}

// Parses a request for embeddings and answers it.
Task<absl::StatusOr<std::string>> Embeddings(const ServingContext& serving,
                                             const HttpContext& context,
                                             HttpStream& stream, HttpCall& call,
                                             RequestReader* reader,
                                             const std::string& model) {
  std::string body;
  absl::Status status = co_await ReadJsonBody(context, stream, reader, &body);
  if (!status.ok()) co_return status;
  absl::StatusOr<EmbeddingRequest> request = ParseEmbeddingRequest(body);
  if (!request.ok()) co_return request.status();
  absl::StatusOr<std::string> name =
      NeededModelName(model, request->embed.model());
  if (!name.ok()) co_return name.status();
  request->embed.set_model(*std::move(name));
  // Cannot fail, because it is less than before.
  (void)reader->Reserve(kKeptMemory * body.size());
  lm::v1::EmbedResponse response;
  status = co_await HandleEmbed(serving, call, request->embed, &response);
  if (!status.ok()) co_return status;
  const int dimensions = response.embeddings(0).values_size();
  if (request->dimensions.value_or(dimensions) !=
      static_cast<uint32_t>(dimensions)) {
    co_return InvalidField(
        "dimensions",
        absl::StrCat("expected ", dimensions,
                     ", the length of the model's vectors, which cannot be "
                     "shortened; found ",
                     *request->dimensions));
  }
  const size_t bytes = MaxEmbeddingsBytes(response);
  Budget::Reservation answer(serving.budgets.answer_bytes);
  status = answer.Resize("answer bytes", bytes + response.SpaceUsedLong());
  if (!status.ok()) co_return status;
  co_await EnterThreadFor(context, stream, bytes);
  co_return EmbeddingsJson(response, request->as_base64);
}

DetachedTask AnswerEmbeddings(const ServingContext& serving,
                              const HttpContext& context, std::string model,
                              Stream stream) {
  HttpCall call(*stream, Priority::kInteractive);
  CallScope scope(context.interceptor, call, "Embeddings");
  RequestReader reader(context.interceptor.request_bytes());
  absl::StatusOr<std::string> json;
  if (scope.status().ok()) {
    json = co_await Embeddings(serving, context, *stream, call, &reader, model);
  } else {
    json = scope.status();
  }
  const bool may_keep =
      co_await Reply(context, *stream, call, scope, std::move(json), "input");
  FinishStream(std::move(stream), may_keep);
}

// Says why there is no path for chats, which clients may expect.
DetachedTask RefuseChat(const HttpContext& context, Stream stream) {
  constexpr char kReason[] =
      "there is no chat: these are language models without instructions; use "
      "/v1/completions";
  const HttpCall call(*stream, Priority::kInteractive);
  const bool may_keep =
      co_await SendError(context, *stream, call, absl::NotFoundError(kReason),
                         OpenAiErrorJson(404, kReason));
  FinishStream(std::move(stream), may_keep);
}

// Describes a version under one of its names.
ordered_json ModelJson(const LoadedVersion& loaded, const std::string& name) {
  const AnyModel& model = loaded.model();
  const SentenceEncoder* encoder = model.sentence_encoder();
  return {
      {"id", name},
      {"object", "model"},
      {"created", absl::ToUnixSeconds(loaded.load_time())},
      {"owned_by", "lmserve"},
      {"version", loaded.version()},
      {"family", loaded.manifest().family()},
      {"vocabulary_size", model.vocabulary().size()},
      {"bidirectional", model.kind() == ModelKind::kBidirectional},
      {"translation", model.kind() == ModelKind::kTranslation},
      {"tagger", model.kind() == ModelKind::kTagger},
      {"classifier", model.kind() == ModelKind::kClassifier},
      {"embedding_dimensions", encoder == nullptr ? 0 : encoder->dimensions()}};
}

// Lists each version as NAME@VERSION, and the one that NAME alone stands for
// before it as NAME. With a name, only its versions.
std::string ModelsJson(const ModelStore& store, const std::string& name) {
  ordered_json models = ordered_json::array();
  for (const ModelStore::Entry& entry : store.List()) {
    const LoadedVersion& loaded = *entry.handle;
    const std::string full = absl::StrCat(loaded.name(), "@", loaded.version());
    if (loaded.is_reranker()) continue;
    if (!name.empty() && name != loaded.name() && name != full) continue;
    if (entry.is_default) models.push_back(ModelJson(loaded, loaded.name()));
    models.push_back(ModelJson(loaded, full));
  }
  return DumpJson({{"object", "list"}, {"data", std::move(models)}});
}

// Finds the model whose words are meant: the one that is named or, without a
// name, the only one that is served.
absl::StatusOr<ModelHandle> FindTokenizer(
    const ServingContext& serving, Call& call,
    const absl::StatusOr<std::string>& name) {
  if (!name.ok()) return name.status();
  if (!name->empty()) return FindModel(serving, call, *name);
  std::string only;
  for (const ModelStore::Entry& entry : serving.store.List()) {
    if (entry.handle->is_reranker() || entry.handle->name() == only) continue;
    if (!only.empty()) {
      return InvalidField("model",
                          "expected the name of a model, because several are "
                          "served: name it here or in the path, as in "
                          "/models/NAME/tokenize");
    }
    only = entry.handle->name();
  }
  return FindModel(serving, call, only);
}

// Returns the answer of a route that splits texts, or puts them together.
auto Tokenizer(const ServingContext& serving, const HttpContext& context,
               absl::string_view method,
               absl::StatusOr<std::string> (*answer)(const JsonObject&,
                                                     const Vocabulary&,
                                                     const Limits&)) {
  return [&serving, &context, method, answer](Stream stream,
                                              const PathArguments& arguments) {
    AnswerOnce(context, method, std::move(stream),
               [&serving, answer, of_path = ArgumentOf(arguments, "model")](
                   Call& call,
                   const std::string& body) -> absl::StatusOr<std::string> {
                 const absl::StatusOr<JsonObject> request =
                     JsonObject::Parse(body);
                 if (!request.ok()) return request.status();
                 const auto of_request = request->String("model");
                 if (!of_request.ok()) return of_request.status();
                 const auto handle = FindTokenizer(
                     serving, call, ModelName(of_path, *of_request));
                 if (!handle.ok()) return handle.status();
                 return answer(*request, (*handle)->model().vocabulary(),
                               serving.limits);
               });
  };
}

void AddCompletionRoutes(const ServingContext& serving,
                         const HttpContext& context, const std::string& base,
                         HttpRouter* router) {
  router->Add({"POST", absl::StrCat(base, "/v1/completions"), kJsonType,
               [&](Stream stream, const PathArguments& arguments) {
                 AnswerCompletions(serving, context,
                                   ArgumentOf(arguments, "model"),
                                   std::move(stream));
               },
               OpenAiErrorJson});
  router->Add({"POST", absl::StrCat(base, "/v1/embeddings"), kJsonType,
               [&](Stream stream, const PathArguments& arguments) {
                 AnswerEmbeddings(serving, context,
                                  ArgumentOf(arguments, "model"),
                                  std::move(stream));
               },
               OpenAiErrorJson});
  router->Add({"POST", absl::StrCat(base, "/v1/chat/completions"), kJsonType,
               [&](Stream stream, const PathArguments&) {
                 RefuseChat(context, std::move(stream));
               },
               OpenAiErrorJson});
}

void AddListingRoutes(const ServingContext& serving, const HttpContext& context,
                      const std::string& base, HttpRouter* router) {
  router->Add({"GET", absl::StrCat(base, "/v1/models"), "",
               [&](Stream stream, const PathArguments& arguments) {
                 AnswerOnce(context, "ListModels", std::move(stream),
                            [&serving, name = ArgumentOf(arguments, "model")](
                                Call&, const std::string&) {
                              return absl::StatusOr<std::string>(
                                  ModelsJson(serving.store, name));
                            });
               },
               OpenAiErrorJson});
  router->Add({"GET", absl::StrCat(base, "/v1/models/{id}"), "",
               [&](Stream stream, const PathArguments& arguments) {
                 AnswerOnce(
                     context, "GetModel", std::move(stream),
                     [&serving, id = arguments.at("id")](
                         Call& call,
                         const std::string&) -> absl::StatusOr<std::string> {
                       const auto handle = FindModel(serving, call, id);
                       if (!handle.ok()) return handle.status();
                       return DumpJson(ModelJson(**handle, id));
                     });
               },
               OpenAiErrorJson});
}

void AddTokenizerRoutes(const ServingContext& serving,
                        const HttpContext& context, const std::string& base,
                        HttpRouter* router) {
  router->Add({"POST", absl::StrCat(base, "/tokenize"), kJsonType,
               Tokenizer(serving, context, "Tokenize", TokenizeJson),
               OpenAiErrorJson});
  router->Add({"POST", absl::StrCat(base, "/detokenize"), kJsonType,
               Tokenizer(serving, context, "Detokenize", DetokenizeJson),
               OpenAiErrorJson});
  router->Add(
      {"GET", absl::StrCat(base, "/tokenizer_info"), "",
       [&](Stream stream, const PathArguments& arguments) {
         std::string of_query = QueryValue(stream->request().query, "model");
         AnswerOnce(context, "GetTokenizer", std::move(stream),
                    [&serving, of_query = std::move(of_query),
                     of_path = ArgumentOf(arguments, "model")](
                        Call& call,
                        const std::string&) -> absl::StatusOr<std::string> {
                      const auto handle = FindTokenizer(
                          serving, call, ModelName(of_path, of_query));
                      if (!handle.ok()) return handle.status();
                      return TokenizerInfoJson((*handle)->model().vocabulary(),
                                               serving.limits);
                    });
       },
       OpenAiErrorJson});
}

}  // namespace

void AddOpenAiRoutes(const ServingContext& serving, const HttpContext& context,
                     HttpRouter* router) {
  for (const char* base : {"", kModelPath}) {
    AddCompletionRoutes(serving, context, base, router);
    AddListingRoutes(serving, context, base, router);
    AddTokenizerRoutes(serving, context, base, router);
  }
}

}  // namespace lmserve
