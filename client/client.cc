// SPDX-License-Identifier: Apache-2.0
#include "client/client.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <algorithm>
#include <mutex>
#include <thread>

#include "absl/strings/cord.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "client/call_starter.h"
#include "client/channel.h"
#include "client/error_details.h"
#include "client/retry.h"
#include "client/unanswered_requests.h"
#include "google/rpc/error_details.pb.h"
#include "grpc/health/v1/health.grpc.pb.h"

namespace lmserve {
namespace {

using std::chrono::milliseconds;

// Returns whether something between client and server has reset the stream of
// the call, such as a proxy that has lost the server. gRPC converts resets to
// INTERNAL (grpc/doc/PROTOCOL-HTTP2.md, "Errors"), with a message that
// lm_server never sends. After the codes of HTTP/2 that are not listed here,
// the call would fail again: they say that a side violates the protocol.
bool IsReset(const grpc::Status& status) {
  constexpr absl::string_view kReceived =
      "Received RST_STREAM with error code ";
  if (status.error_code() != grpc::StatusCode::INTERNAL) return false;
  const std::string message = status.error_message();
  absl::string_view code = message;
  const size_t found = code.find(kReceived);
  if (found == absl::string_view::npos) return false;
  code.remove_prefix(found + kReceived.size());
  code = code.substr(0, code.find_first_not_of("0123456789"));
  // NO_ERROR, INTERNAL_ERROR, CONNECT_ERROR
  return code == "0" || code == "2" || code == "10";
}

// Converts an error of gRPC. Its code, message and details stay the same, but
// the code of a reset becomes UNAVAILABLE, as if the server itself were lost.
absl::Status ToAbslStatus(const grpc::Status& status) {
  absl::Status converted(
      IsReset(status) ? absl::StatusCode::kUnavailable
                      : static_cast<absl::StatusCode>(status.error_code()),
      status.error_message());
  google::rpc::Status details;
  if (!converted.ok() && details.ParseFromString(status.error_details())) {
    for (const google::protobuf::Any& detail : details.details()) {
      converted.SetPayload(detail.type_url(), absl::Cord(detail.value()));
    }
  }
  return converted;
}

// A DecodeStream that opens a new stream of gRPC if the first one ends before
// its first answer.
class GrpcDecodeStream final : public DecodeStream {
 public:
  GrpcDecodeStream(lm::v1::LanguageModelService::Stub& stub,
                   const CallStarter& starter, CallOptions options,
                   milliseconds limit)
      : stub_(stub),
        starter_(starter),
        options_(std::move(options)),
        prepared_(CallStarter::Prepare(options_, limit)),
        retry_(starter.Attempts(prepared_.deadline)) {
    Open();
  }

  ~GrpcDecodeStream() override {
    if (finished_) return;
    context_->TryCancel();
    stream_->Finish();
  }

  bool Send(const lm::v1::DecodeRequest& request) override {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!is_answered_) unanswered_.push_back(request);
    // Before the first answer, Receive() sends again what was not written.
    return stream_->Write(request) || !is_answered_;
  }

  absl::StatusOr<lm::v1::DecodeResponse> Receive() override {
    lm::v1::DecodeResponse response;
    while (!finished_) {
      if (stream_->Read(&response)) {
        OnAnswer();
        return response;
      }
      status_ = ToAbslStatus(stream_->Finish());
      finished_ = status_.ok() || is_answered_;
      if (finished_) break;
      status_ = retry_.Next(status_);
      finished_ = !status_.ok();
      if (!finished_) Reopen();
    }
    if (!status_.ok()) return status_;
    return absl::OutOfRangeError("the stream has ended");
  }

  void Close() override {
    const std::lock_guard<std::mutex> lock(mutex_);
    is_closed_ = true;
    stream_->WritesDone();
  }

 private:
  void Open() {
    stream_.reset();
    context_ = std::make_unique<grpc::ClientContext>();
    starter_.Begin(prepared_, context_.get());
    stream_ = stub_.Decode(context_.get());
  }

  void Reopen() {
    const std::lock_guard<std::mutex> lock(mutex_);
    Open();
    for (const auto& request : unanswered_) stream_->Write(request);
    if (is_closed_) stream_->WritesDone();
  }

  void OnAnswer() {
    if (is_answered_) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    is_answered_ = true;
    unanswered_.clear();
  }

  lm::v1::LanguageModelService::Stub& stub_;
  const CallStarter& starter_;
  const CallOptions options_;
  const CallStarter::Prepared prepared_;
  Retry retry_;
  std::mutex mutex_;  // of what sender and receiver share
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<
      grpc::ClientReaderWriter<lm::v1::DecodeRequest, lm::v1::DecodeResponse>>
      stream_;
  std::vector<lm::v1::DecodeRequest> unanswered_;  // before the first answer
  bool is_answered_ = false;
  bool is_closed_ = false;
  bool finished_ = false;
  absl::Status status_;
};

// Returns the error of a stream that began with request `first` of all, with
// the number of the request among all: the server counts those of the stream.
absl::Status NumberedFrom(uint64_t first, const absl::Status& error) {
  absl::string_view message = error.message();
  uint64_t number;
  if (first == 0 || !absl::ConsumePrefix(&message, "request ")) return error;
  const size_t colon = message.find(':');
  if (!absl::SimpleAtoi(message.substr(0, colon), &number)) return error;
  return WithMessage(
      error, absl::StrCat("request ", first + number, message.substr(colon)));
}

}  // namespace

struct Client::Connection {
  explicit Connection(const ClientOptions& options)
      : channel(CreateChannel(options)),
        starter(options, channel.get()),
        language_model(lm::v1::LanguageModelService::NewStub(channel)),
        models(lm::v1::ModelService::NewStub(channel)),
        health(grpc::health::v1::Health::NewStub(channel)) {}

  // Makes a unary call.
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(
      Stub& stub,
      grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                   Response*),
      const Request& request, const CallOptions& options,
      milliseconds limit) const {
    const auto prepared = CallStarter::Prepare(options, limit);
    Retry retry = starter.Attempts(prepared.deadline);
    while (true) {
      grpc::ClientContext context;
      starter.Begin(prepared, &context);
      Response response;
      absl::Status status =
          ToAbslStatus((stub.*method)(&context, request, &response));
      if (status.ok()) return response;
      status = retry.Next(status);
      if (!status.ok()) return status;
    }
  }

  // Calls a method with one request and a stream of responses, until `receive`
  // returns false.
  template <typename Request, typename Response>
  absl::Status Stream(std::unique_ptr<grpc::ClientReader<Response>> (
                          lm::v1::LanguageModelService::Stub::*method)(
                          grpc::ClientContext*, const Request&),
                      const Request& request, const CallOptions& options,
                      milliseconds limit,
                      absl::FunctionRef<bool(const Response&)> receive) const {
    const auto prepared = CallStarter::Prepare(options, limit);
    Retry retry = starter.Attempts(prepared.deadline);
    while (true) {
      grpc::ClientContext context;
      starter.Begin(prepared, &context);
      const auto stream = ((*language_model).*method)(&context, request);
      bool has_begun = false, stopped = false;
      Response response;
      while (!stopped && stream->Read(&response)) {
        has_begun = true;
        stopped = !receive(response);
      }
      if (stopped) context.TryCancel();
      absl::Status status = ToAbslStatus(stream->Finish());
      if (stopped || status.ok()) return absl::OkStatus();
      if (has_begun) return status;
      status = retry.Next(status);
      if (!status.ok()) return status;
    }
  }

  const std::shared_ptr<grpc::Channel> channel;
  const CallStarter starter;
  const std::unique_ptr<lm::v1::LanguageModelService::Stub> language_model;
  const std::unique_ptr<lm::v1::ModelService::Stub> models;
  const std::unique_ptr<grpc::health::v1::Health::Stub> health;
};

Client::Client(const ClientOptions& options)
    : options_(options), connection_(std::make_unique<Connection>(options_)) {}

Client::~Client() = default;

absl::StatusOr<lm::v1::ScoreResponse> Client::Score(
    const lm::v1::ScoreRequest& request, const CallOptions& options) const {
  return connection_->Call(*connection_->language_model,
                           &lm::v1::LanguageModelService::Stub::Score, request,
                           options, options_.deadline);
}

absl::StatusOr<lm::v1::PredictResponse> Client::Predict(
    const lm::v1::PredictRequest& request, const CallOptions& options) const {
  return connection_->Call(*connection_->language_model,
                           &lm::v1::LanguageModelService::Stub::Predict,
                           request, options, options_.deadline);
}

absl::StatusOr<lm::v1::RerankResponse> Client::Rerank(
    const lm::v1::RerankRequest& request, const CallOptions& options) const {
  return connection_->Call(*connection_->language_model,
                           &lm::v1::LanguageModelService::Stub::Rerank, request,
                           options, options_.deadline);
}

absl::StatusOr<lm::v1::InspectResponse> Client::Inspect(
    const lm::v1::InspectRequest& request, const CallOptions& options) const {
  return connection_->Call(*connection_->language_model,
                           &lm::v1::LanguageModelService::Stub::Inspect,
                           request, options, options_.deadline);
}

absl::StatusOr<lm::v1::EmbedResponse> Client::Embed(
    const lm::v1::EmbedRequest& request, const CallOptions& options) const {
  return connection_->Call(*connection_->language_model,
                           &lm::v1::LanguageModelService::Stub::Embed, request,
                           options, options_.deadline);
}

absl::StatusOr<lm::v1::TagResponse> Client::Tag(
    const lm::v1::TagRequest& request, const CallOptions& options) const {
  return connection_->Call(*connection_->language_model,
                           &lm::v1::LanguageModelService::Stub::Tag, request,
                           options, options_.deadline);
}

absl::StatusOr<lm::v1::ClassifyResponse> Client::Classify(
    const lm::v1::ClassifyRequest& request, const CallOptions& options) const {
  return connection_->Call(*connection_->language_model,
                           &lm::v1::LanguageModelService::Stub::Classify,
                           request, options, options_.deadline);
}

absl::StatusOr<lm::v1::ListModelsResponse> Client::ListModels(
    const CallOptions& options) const {
  lm::v1::ListModelsResponse all;
  lm::v1::ListModelsRequest request;
  while (true) {
    absl::StatusOr<lm::v1::ListModelsResponse> page = connection_->Call(
        *connection_->models, &lm::v1::ModelService::Stub::ListModels, request,
        options, options_.deadline);
    if (!page.ok()) return page.status();
    all.MergeFrom(*page);
    // A page without entries would never end.
    const bool is_empty = page->models().empty() && page->refused().empty() &&
                          page->incomplete().empty() && page->loading().empty();
    if (page->next_page_token().empty() || is_empty) break;
    request.set_page_token(page->next_page_token());
  }
  all.clear_next_page_token();
  return all;
}

absl::StatusOr<lm::v1::GetModelResponse> Client::GetModel(
    const lm::v1::GetModelRequest& request, const CallOptions& options) const {
  return connection_->Call(*connection_->models,
                           &lm::v1::ModelService::Stub::GetModel, request,
                           options, options_.deadline);
}

absl::StatusOr<lm::v1::LoadModelResponse> Client::LoadModel(
    const lm::v1::LoadModelRequest& request, const CallOptions& options) const {
  return connection_->Call(*connection_->models,
                           &lm::v1::ModelService::Stub::LoadModel, request,
                           options, options_.load_deadline);
}

absl::StatusOr<lm::v1::UnloadModelResponse> Client::UnloadModel(
    const lm::v1::UnloadModelRequest& request,
    const CallOptions& options) const {
  return connection_->Call(*connection_->models,
                           &lm::v1::ModelService::Stub::UnloadModel, request,
                           options, options_.load_deadline);
}

absl::StatusOr<lm::v1::SetAliasResponse> Client::SetAlias(
    const lm::v1::SetAliasRequest& request, const CallOptions& options) const {
  return connection_->Call(*connection_->models,
                           &lm::v1::ModelService::Stub::SetAlias, request,
                           options, options_.load_deadline);
}

absl::Status Client::ScoreStream(
    absl::FunctionRef<bool(lm::v1::ScoreRequest*)> next,
    absl::FunctionRef<bool(const lm::v1::ScoreResponse&)> receive,
    const CallOptions& options) const {
  const auto prepared = CallStarter::Prepare(options, options_.stream_deadline);
  UnansweredRequests requests(next);
  std::optional<Retry> retry;
  while (true) {
    const uint64_t first = requests.BeginStream();
    grpc::ClientContext context;
    connection_->starter.Begin(prepared, &context);
    const auto stream = connection_->language_model->ScoreStream(&context);
    std::thread writer([&] {
      for (uint64_t number = first;; ++number) {
        const auto request = requests.Get(number);
        if (request == nullptr || !stream->Write(*request)) break;
      }
      stream->WritesDone();
    });
    bool stopped = false, unasked = false;
    lm::v1::ScoreResponse response;
    while (!stopped && !unasked && stream->Read(&response)) {
      unasked = !requests.OnAnswer();
      stopped = !unasked && !receive(response);
    }
    if (stopped || unasked) context.TryCancel();
    requests.EndStream();
    writer.join();
    absl::Status status = NumberedFrom(first, ToAbslStatus(stream->Finish()));
    if (unasked) {
      return absl::InternalError(
          absl::StrCat("the server sent a response to request ",
                       requests.answered(), ", which it had not received"));
    }
    if (!stopped && status.ok() && !requests.is_complete()) {
      return absl::InternalError(
          absl::StrCat("the server ended the stream without a response to "
                       "request ",
                       requests.answered()));
    }
    if (stopped || status.ok()) return absl::OkStatus();
    // Each response shows that the server is back.
    if (!retry.has_value() || requests.answered() > first) {
      retry.emplace(connection_->starter.Attempts(prepared.deadline));
    }
    status = retry->Next(status);
    if (!status.ok()) return status;
  }
}

absl::Status Client::Generate(
    const lm::v1::GenerateRequest& request,
    absl::FunctionRef<bool(const lm::v1::GenerateResponse&)> receive,
    const CallOptions& options) const {
  return connection_->Stream(&lm::v1::LanguageModelService::Stub::Generate,
                             request, options, options_.stream_deadline,
                             receive);
}

absl::StatusOr<lm::v1::GetVocabularyResponse> Client::GetVocabulary(
    const lm::v1::GetVocabularyRequest& request,
    const CallOptions& options) const {
  lm::v1::GetVocabularyResponse all;
  absl::Status status =
      connection_
          ->Stream<lm::v1::GetVocabularyRequest, lm::v1::GetVocabularyResponse>(
              &lm::v1::LanguageModelService::Stub::GetVocabulary, request,
              options, options_.deadline,
              [&](const lm::v1::GetVocabularyResponse& part) {
                all.MergeFrom(part);
                return true;
              });
  if (!status.ok()) return status;
  return all;
}

std::unique_ptr<DecodeStream> Client::Decode(const CallOptions& options) const {
  return std::make_unique<GrpcDecodeStream>(*connection_->language_model,
                                            connection_->starter, options,
                                            options_.stream_deadline);
}

absl::StatusOr<bool> Client::Health(const std::string& service,
                                    const CallOptions& options) const {
  grpc::health::v1::HealthCheckRequest request;
  request.set_service(service);
  const auto response = connection_->Call(
      *connection_->health, &grpc::health::v1::Health::Stub::Check, request,
      options, options_.deadline);
  if (!response.ok()) return response.status();
  return response->status() == grpc::health::v1::HealthCheckResponse::SERVING;
}

}  // namespace lmserve
