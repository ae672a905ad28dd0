// SPDX-License-Identifier: Apache-2.0
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

// Converts an error of gRPC; its code and message stay the same.
absl::Status ToAbslStatus(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                      status.error_message());
}

grpc::ChannelArguments ChannelArguments(const ClientOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(options.message_bytes);
  arguments.SetMaxSendMessageSize(options.message_bytes);
  // Reconnect so soon that the next attempt of a call finds a server that has
  // just started.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  if (options.tls.has_value() && !options.tls->server_name.empty()) {
    arguments.SetSslTargetNameOverride(options.tls->server_name);
  }
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

std::shared_ptr<grpc::ChannelCredentials> Credentials(
    const ClientOptions& options) {
  if (!options.tls.has_value()) return grpc::InsecureChannelCredentials();
  return grpc::SslCredentials({.pem_root_certs = options.tls->root,
                               .pem_private_key = options.tls->key,
                               .pem_cert_chain = options.tls->certificate});
}

// Prepares the context of each call: its deadline and the client's token.
class CallStarter {
 public:
  explicit CallStarter(const std::string& token)
      : authorization_(token.empty() ? "" : "Bearer " + token) {}

  // Sets no deadline if `deadline` is 0.
  void Prepare(std::chrono::milliseconds deadline,
               grpc::ClientContext* context) const {
    if (deadline.count() > 0) {
      context->set_deadline(std::chrono::system_clock::now() + deadline);
    }
    if (!authorization_.empty()) {
      context->AddMetadata("authorization", authorization_);
    }
  }

 private:
  const std::string authorization_;
};

class GrpcDecodeStream final : public DecodeStream {
 public:
  GrpcDecodeStream(lm::v1::LanguageModelService::Stub& stub,
                   const CallStarter& starter,
                   std::chrono::milliseconds deadline) {
    starter.Prepare(deadline, &context_);
    stream_ = stub.Decode(&context_);
  }

  ~GrpcDecodeStream() override {
    if (finished_) return;
    context_.TryCancel();
    stream_->Finish();
  }

  bool Send(const lm::v1::DecodeRequest& request) override {
    return stream_->Write(request);
  }

  absl::StatusOr<lm::v1::DecodeResponse> Receive() override {
    lm::v1::DecodeResponse response;
    if (!finished_ && stream_->Read(&response)) return response;
    if (!finished_) status_ = ToAbslStatus(stream_->Finish());
    finished_ = true;
    if (!status_.ok()) return status_;
    return absl::OutOfRangeError("the stream has ended");
  }

  void Close() override { stream_->WritesDone(); }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<
      grpc::ClientReaderWriter<lm::v1::DecodeRequest, lm::v1::DecodeResponse>>
      stream_;
  bool finished_ = false;
  absl::Status status_;
};

}  // namespace

struct Client::Connection {
  explicit Connection(const ClientOptions& options)
      : starter(options.token),
        channel(grpc::CreateCustomChannel(options.address, Credentials(options),
                                          ChannelArguments(options))),
        language_model(lm::v1::LanguageModelService::NewStub(channel)),
        models(lm::v1::ModelService::NewStub(channel)),
        health(grpc::health::v1::Health::NewStub(channel)) {}

  // Makes a unary call.
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(
      Stub& stub,
      grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                   Response*),
      const Request& request, std::chrono::milliseconds deadline) const {
    grpc::ClientContext context;
    starter.Prepare(deadline, &context);
    Response response;
    const grpc::Status status = (stub.*method)(&context, request, &response);
    if (!status.ok()) return ToAbslStatus(status);
    return response;
  }

  const CallStarter starter;
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
  return connection_->Call(*connection_->language_model,
                           &lm::v1::LanguageModelService::Stub::Score, request,
                           options_.deadline);
}

absl::StatusOr<lm::v1::PredictResponse> Client::Predict(
    const lm::v1::PredictRequest& request) const {
  return connection_->Call(*connection_->language_model,
                           &lm::v1::LanguageModelService::Stub::Predict,
                           request, options_.deadline);
}

absl::StatusOr<lm::v1::RerankResponse> Client::Rerank(
    const lm::v1::RerankRequest& request) const {
  return connection_->Call(*connection_->language_model,
                           &lm::v1::LanguageModelService::Stub::Rerank, request,
                           options_.deadline);
}

absl::StatusOr<lm::v1::ListModelsResponse> Client::ListModels() const {
  lm::v1::ListModelsResponse all;
  lm::v1::ListModelsRequest request;
  while (true) {
    absl::StatusOr<lm::v1::ListModelsResponse> page = connection_->Call(
        *connection_->models, &lm::v1::ModelService::Stub::ListModels, request,
        options_.deadline);
    if (!page.ok()) return page.status();
    all.MergeFrom(*page);
    // A page without entries would never end.
    const bool is_empty = page->models().empty() && page->refused().empty() &&
                          page->loading().empty();
    if (page->next_page_token().empty() || is_empty) break;
    request.set_page_token(page->next_page_token());
  }
  all.clear_next_page_token();
  return all;
}

absl::StatusOr<lm::v1::GetModelResponse> Client::GetModel(
    const lm::v1::GetModelRequest& request) const {
  return connection_->Call(*connection_->models,
                           &lm::v1::ModelService::Stub::GetModel, request,
                           options_.deadline);
}

absl::StatusOr<lm::v1::LoadModelResponse> Client::LoadModel(
    const lm::v1::LoadModelRequest& request) const {
  return connection_->Call(*connection_->models,
                           &lm::v1::ModelService::Stub::LoadModel, request,
                           options_.load_deadline);
}

absl::StatusOr<lm::v1::UnloadModelResponse> Client::UnloadModel(
    const lm::v1::UnloadModelRequest& request) const {
  return connection_->Call(*connection_->models,
                           &lm::v1::ModelService::Stub::UnloadModel, request,
                           options_.load_deadline);
}

absl::StatusOr<lm::v1::SetAliasResponse> Client::SetAlias(
    const lm::v1::SetAliasRequest& request) const {
  return connection_->Call(*connection_->models,
                           &lm::v1::ModelService::Stub::SetAlias, request,
                           options_.load_deadline);
}

absl::Status Client::ScoreStream(
    absl::FunctionRef<bool(lm::v1::ScoreRequest*)> next,
    absl::FunctionRef<bool(const lm::v1::ScoreResponse&)> receive) const {
  grpc::ClientContext context;
  connection_->starter.Prepare(options_.stream_deadline, &context);
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
  connection_->starter.Prepare(options_.stream_deadline, &context);
  const auto stream = connection_->language_model->Generate(&context, request);
  bool stopped = false;
  lm::v1::GenerateResponse response;
  while (!stopped && stream->Read(&response)) stopped = !receive(response);
  if (stopped) context.TryCancel();
  const grpc::Status status = stream->Finish();
  return stopped ? absl::OkStatus() : ToAbslStatus(status);
}

std::unique_ptr<DecodeStream> Client::Decode() const {
  return std::make_unique<GrpcDecodeStream>(*connection_->language_model,
                                            connection_->starter,
                                            options_.stream_deadline);
}

absl::StatusOr<bool> Client::Health(const std::string& service) const {
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(service);
  const auto response = connection_->Call(
      *connection_->health, &grpc::health::v1::Health::Stub::Check, request,
      options_.deadline);
  if (!response.ok()) return response.status();
  return response->status() == grpc::health::v1::HealthCheckResponse::SERVING;
}

}  // namespace lmserve
