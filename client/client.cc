#include "client/client.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <functional>
#include <thread>

#include "absl/strings/str_format.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace lmserve {
namespace {

// The one way from errors on the wire to ours: same code, same message.
absl::Status ToAbslStatus(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                      status.error_message());
}

grpc::ChannelArguments ChannelArguments(const ClientOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(options.message_bytes);
  arguments.SetMaxSendMessageSize(options.message_bytes);
  // A server that was refused a moment ago is asked again by the next attempt.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  if (options.attempts > 1) {
    arguments.SetServiceConfigJSON(absl::StrFormat(
        R"({"methodConfig": [{"name": [{}], "retryPolicy": {
            "maxAttempts": %d, "initialBackoff": "0.1s", "maxBackoff": "2s",
            "backoffMultiplier": 2, "retryableStatusCodes": ["UNAVAILABLE"]
        }}]})",
        std::min(options.attempts, 5)));
  }
  return arguments;
}

void SetDeadline(std::chrono::milliseconds deadline,
                 grpc::ClientContext* context) {
  if (deadline.count() > 0) {
    context->set_deadline(std::chrono::system_clock::now() + deadline);
  }
}

}  // namespace

struct Client::Connection {
  explicit Connection(const ClientOptions& options)
      : channel(grpc::CreateCustomChannel(options.address,
                                          grpc::InsecureChannelCredentials(),
                                          ChannelArguments(options))),
        language_model(lm::v1::LanguageModelService::NewStub(channel)),
        models(lm::v1::ModelService::NewStub(channel)),
        health(grpc::health::v1::Health::NewStub(channel)) {}

  // Makes a unary call.
  template <typename Stub, typename Request, typename Response>
  static absl::StatusOr<Response> Call(
      Stub& stub,
      grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                   Response*),
      const Request& request, std::chrono::milliseconds deadline) {
    grpc::ClientContext context;
    SetDeadline(deadline, &context);
    Response response;
    const grpc::Status status = (stub.*method)(&context, request, &response);
    if (!status.ok()) return ToAbslStatus(status);
    return response;
  }

  const std::shared_ptr<grpc::Channel> channel;
  const std::unique_ptr<lm::v1::LanguageModelService::Stub> language_model;
  const std::unique_ptr<lm::v1::ModelService::Stub> models;
  const std::unique_ptr<grpc::health::v1::Health::Stub> health;
};

Client::Client(const ClientOptions& options)
    : options_(options), connection_(std::make_unique<Connection>(options)) {}

Client::~Client() = default;

absl::StatusOr<lm::v1::ScoreResponse> Client::Score(
    const lm::v1::ScoreRequest& request) const {
  return Connection::Call(*connection_->language_model,
                          &lm::v1::LanguageModelService::Stub::Score, request,
                          options_.deadline);
}

absl::StatusOr<lm::v1::PredictResponse> Client::Predict(
    const lm::v1::PredictRequest& request) const {
  return Connection::Call(*connection_->language_model,
                          &lm::v1::LanguageModelService::Stub::Predict, request,
                          options_.deadline);
}

absl::StatusOr<lm::v1::RerankResponse> Client::Rerank(
    const lm::v1::RerankRequest& request) const {
  return Connection::Call(*connection_->language_model,
                          &lm::v1::LanguageModelService::Stub::Rerank, request,
                          options_.deadline);
}

absl::StatusOr<lm::v1::ListModelsResponse> Client::ListModels() const {
  return Connection::Call(*connection_->models,
                          &lm::v1::ModelService::Stub::ListModels,
                          lm::v1::ListModelsRequest(), options_.deadline);
}

absl::StatusOr<lm::v1::GetModelResponse> Client::GetModel(
    const lm::v1::GetModelRequest& request) const {
  return Connection::Call(*connection_->models,
                          &lm::v1::ModelService::Stub::GetModel, request,
                          options_.deadline);
}

absl::StatusOr<lm::v1::LoadModelResponse> Client::LoadModel(
    const lm::v1::LoadModelRequest& request) const {
  return Connection::Call(*connection_->models,
                          &lm::v1::ModelService::Stub::LoadModel, request,
                          options_.load_deadline);
}

absl::StatusOr<lm::v1::UnloadModelResponse> Client::UnloadModel(
    const lm::v1::UnloadModelRequest& request) const {
  return Connection::Call(*connection_->models,
                          &lm::v1::ModelService::Stub::UnloadModel, request,
                          options_.load_deadline);
}

absl::StatusOr<lm::v1::SetAliasResponse> Client::SetAlias(
    const lm::v1::SetAliasRequest& request) const {
  return Connection::Call(*connection_->models,
                          &lm::v1::ModelService::Stub::SetAlias, request,
                          options_.load_deadline);
}

absl::Status Client::ScoreStream(
    absl::FunctionRef<bool(lm::v1::ScoreRequest*)> next,
    absl::FunctionRef<bool(const lm::v1::ScoreResponse&)> receive) const {
  grpc::ClientContext context;
  SetDeadline(options_.stream_deadline, &context);
  const auto stream = connection_->language_model->ScoreStream(&context);
  std::thread writer([&] {
    lm::v1::ScoreRequest request;
    while (next(&request) && stream->Write(request)) request.Clear();
    stream->WritesDone();
  });
  bool stopped = false;
  lm::v1::ScoreResponse response;
  while (!stopped && stream->Read(&response)) stopped = !receive(response);
  if (stopped) context.TryCancel();
  writer.join();
  const grpc::Status status = stream->Finish();
  return stopped ? absl::OkStatus() : ToAbslStatus(status);
}

absl::Status Client::Generate(
    const lm::v1::GenerateRequest& request,
    absl::FunctionRef<bool(const lm::v1::GenerateResponse&)> receive) const {
  grpc::ClientContext context;
  SetDeadline(options_.stream_deadline, &context);
  const auto stream = connection_->language_model->Generate(&context, request);
  bool stopped = false;
  lm::v1::GenerateResponse response;
  while (!stopped && stream->Read(&response)) stopped = !receive(response);
  if (stopped) context.TryCancel();
  const grpc::Status status = stream->Finish();
  return stopped ? absl::OkStatus() : ToAbslStatus(status);
}

absl::StatusOr<bool> Client::Health(const std::string& service) const {
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(service);
  const auto response = Connection::Call(*connection_->health,
                                         &grpc::health::v1::Health::Stub::Check,
                                         request, options_.deadline);
  if (!response.ok()) return response.status();
  return response->status() == grpc::health::v1::HealthCheckResponse::SERVING;
}

}  // namespace lmserve
