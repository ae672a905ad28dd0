// SPDX-License-Identifier: Apache-2.0
#include "tests/testing/fake_service.h"

#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <cstdlib>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace lmserve {

// A call that is never answered. Deletes itself when it is done.
class FakeServer::Hanging final : public grpc::ServerUnaryReactor {
 public:
  explicit Hanging(FakeServer& server) : server_(server) {}

  void OnCancel() override {
    server_.NoteCancellation();
    Finish(grpc::Status::CANCELLED);
  }
  void OnDone() override { delete this; }

 private:
  FakeServer& server_;
};

// Answers the requests of a stream one by one. Deletes itself when it is done.
class FakeServer::ScoreStreamReactor final
    : public grpc::ServerBidiReactor<lm::v1::ScoreRequest,
                                     lm::v1::ScoreResponse> {
 public:
  ScoreStreamReactor(FakeServer& server, Fate fate)
      : server_(server), hanging_(fate == Fate::kHang) {
    if (fate == Fate::kFail) {
      Finish(server.NextFailure());
    } else if (!hanging_) {
      Read();
    }
  }

  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    response_.Clear();
    server_.Score(request_, &response_);
    ++answers_;
    StartWrite(&response_);
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::CANCELLED);
    is_repeated_ = server_.script_.answer_twice && !is_repeated_;
    if (is_repeated_) return StartWrite(&response_);
    Read();
  }

  void OnCancel() override {
    server_.NoteCancellation();
    if (hanging_) Finish(grpc::Status::CANCELLED);
  }

  void OnDone() override { delete this; }

 private:
  void Read() {
    if (answers_ == server_.script_.fail_stream_after) {
      return Finish(server_.NextFailure());
    }
    request_.Clear();
    StartRead(&request_);
  }

  FakeServer& server_;
  const bool hanging_;
  int answers_ = 0;
  bool is_repeated_ = false;  // the answer
  lm::v1::ScoreRequest request_;
  lm::v1::ScoreResponse response_;
};

// Writes words until the client cancels or the script lets the stream fail.
// Deletes itself when it is done.
class FakeServer::GenerateReactor final
    : public grpc::ServerWriteReactor<lm::v1::GenerateResponse> {
 public:
  GenerateReactor(FakeServer& server, Fate fate)
      : server_(server), hanging_(fate == Fate::kHang) {
    response_.mutable_model()->set_name("Generate");
    response_.mutable_word()->set_word("word");
    if (fate == Fate::kFail) {
      Finish(server.NextFailure());
    } else if (!hanging_) {
      Write();
    }
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::CANCELLED);
    Write();
  }

  void OnCancel() override {
    server_.NoteCancellation();
    if (hanging_) Finish(grpc::Status::CANCELLED);
  }

  void OnDone() override { delete this; }

 private:
  void Write() {
    if (words_++ == server_.script_.fail_stream_after) {
      return Finish(server_.NextFailure());
    }
    StartWrite(&response_);
  }

  FakeServer& server_;
  const bool hanging_;
  int words_ = 0;
  lm::v1::GenerateResponse response_;
};

// Answers the start of a stream, and then waits for its end. Deletes itself
// when it is done.
class FakeServer::DecodeReactor final
    : public grpc::ServerBidiReactor<lm::v1::DecodeRequest,
                                     lm::v1::DecodeResponse> {
 public:
  DecodeReactor(FakeServer& server, Fate fate) {
    if (fate == Fate::kFail) {
      Finish(server.NextFailure());
    } else {
      StartRead(&request_);
    }
  }

  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    *response_.mutable_started()->mutable_model()->mutable_name() =
        request_.start().model();
    StartWrite(&response_);
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::CANCELLED);
    StartRead(&request_);
  }

  void OnDone() override { delete this; }

 private:
  lm::v1::DecodeRequest request_;
  lm::v1::DecodeResponse response_;
};

class FakeServer::LanguageModel final
    : public lm::v1::LanguageModelService::CallbackService {
 public:
  explicit LanguageModel(FakeServer& server) : server_(server) {}

  grpc::ServerUnaryReactor* Score(grpc::CallbackServerContext* context,
                                  const lm::v1::ScoreRequest* request,
                                  lm::v1::ScoreResponse* response) override {
    server_.Score(*request, response);
    return Answer(context);
  }

  grpc::ServerUnaryReactor* Predict(
      grpc::CallbackServerContext* context, const lm::v1::PredictRequest*,
      lm::v1::PredictResponse* response) override {
    response->mutable_model()->set_name("Predict");
    return Answer(context);
  }

  grpc::ServerUnaryReactor* Rerank(grpc::CallbackServerContext* context,
                                   const lm::v1::RerankRequest*,
                                   lm::v1::RerankResponse* response) override {
    response->add_models()->set_name("Rerank");
    return Answer(context);
  }

  grpc::ServerUnaryReactor* Inspect(
      grpc::CallbackServerContext* context, const lm::v1::InspectRequest*,
      lm::v1::InspectResponse* response) override {
    response->mutable_model()->set_name("Inspect");
    return Answer(context);
  }

  grpc::ServerUnaryReactor* Embed(grpc::CallbackServerContext* context,
                                  const lm::v1::EmbedRequest*,
                                  lm::v1::EmbedResponse* response) override {
    response->mutable_model()->set_name("Embed");
    return Answer(context);
  }

  grpc::ServerUnaryReactor* Tag(grpc::CallbackServerContext* context,
                                const lm::v1::TagRequest*,
                                lm::v1::TagResponse* response) override {
    response->mutable_model()->set_name("Tag");
    return Answer(context);
  }

  grpc::ServerUnaryReactor* Classify(
      grpc::CallbackServerContext* context, const lm::v1::ClassifyRequest*,
      lm::v1::ClassifyResponse* response) override {
    response->mutable_model()->set_name("Classify");
    return Answer(context);
  }

  grpc::ServerBidiReactor<lm::v1::ScoreRequest, lm::v1::ScoreResponse>*
  ScoreStream(grpc::CallbackServerContext* context) override {
    const Fate fate = server_.Arrive(*context);
    return std::make_unique<ScoreStreamReactor>(server_, fate).release();
  }

  grpc::ServerWriteReactor<lm::v1::GenerateResponse>* Generate(
      grpc::CallbackServerContext* context,
      const lm::v1::GenerateRequest*) override {
    const Fate fate = server_.Arrive(*context);
    return std::make_unique<GenerateReactor>(server_, fate).release();
  }

  grpc::ServerBidiReactor<lm::v1::DecodeRequest, lm::v1::DecodeResponse>*
  Decode(grpc::CallbackServerContext* context) override {
    const Fate fate = server_.Arrive(*context);
    return std::make_unique<DecodeReactor>(server_, fate).release();
  }

 private:
  grpc::ServerUnaryReactor* Answer(grpc::CallbackServerContext* context) {
    const Fate fate = server_.Arrive(*context);
    if (fate == Fate::kHang) {
      return std::make_unique<Hanging>(server_).release();
    }
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(fate == Fate::kFail ? server_.NextFailure()
                                        : grpc::Status::OK);
    return reactor;
  }

  FakeServer& server_;
};

class FakeServer::Models final : public lm::v1::ModelService::CallbackService {
 public:
  explicit Models(FakeServer& server) : server_(server) {}

  grpc::ServerUnaryReactor* ListModels(
      grpc::CallbackServerContext* context, const lm::v1::ListModelsRequest*,
      lm::v1::ListModelsResponse* response) override {
    for (const std::string& name : server_.script_.models) {
      lm::v1::ModelInfo* model = response->add_models();
      model->set_name(name);
      model->set_version(1);
      model->set_is_default(true);
    }
    return Answer(context);
  }

  grpc::ServerUnaryReactor* GetModel(
      grpc::CallbackServerContext* context, const lm::v1::GetModelRequest*,
      lm::v1::GetModelResponse* response) override {
    response->mutable_model()->set_name("GetModel");
    return Answer(context);
  }

  grpc::ServerUnaryReactor* LoadModel(
      grpc::CallbackServerContext* context, const lm::v1::LoadModelRequest*,
      lm::v1::LoadModelResponse* response) override {
    response->mutable_model()->set_name("LoadModel");
    return Answer(context);
  }

  grpc::ServerUnaryReactor* UnloadModel(grpc::CallbackServerContext* context,
                                        const lm::v1::UnloadModelRequest*,
                                        lm::v1::UnloadModelResponse*) override {
    return Answer(context);
  }

  grpc::ServerUnaryReactor* SetAlias(
      grpc::CallbackServerContext* context, const lm::v1::SetAliasRequest*,
      lm::v1::SetAliasResponse* response) override {
    response->mutable_model()->set_name("SetAlias");
    return Answer(context);
  }

 private:
  static grpc::ServerUnaryReactor* Answer(
      grpc::CallbackServerContext* context) {
    grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
    reactor->Finish(grpc::Status::OK);
    return reactor;
  }

  FakeServer& server_;
};

FakeServer::FakeServer(FakeScript script)
    : script_(std::move(script)),
      language_model_(std::make_unique<LanguageModel>(*this)),
      models_(std::make_unique<Models>(*this)) {
  grpc::EnableDefaultHealthCheckService(true);
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(),
                           &port);
  builder.SetMaxReceiveMessageSize(-1);
  builder.RegisterService(language_model_.get());
  builder.RegisterService(models_.get());
  server_ = builder.BuildAndStart();
  if (server_ == nullptr) std::abort();
  address_ = absl::StrCat("127.0.0.1:", port);
  grpc::HealthCheckServiceInterface* health = server_->GetHealthCheckService();
  health->SetServingStatus("up", script_.is_up);
  health->SetServingStatus("down", false);
}

FakeServer::~FakeServer() {
  server_->Shutdown(std::chrono::system_clock::now());
  server_->Wait();
}

int FakeServer::calls() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return calls_;
}

std::set<std::string> FakeServer::peers() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return peers_;
}

std::multimap<std::string, std::string> FakeServer::metadata() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return metadata_;
}

bool FakeServer::WaitForCancellation() const {
  std::unique_lock<std::mutex> lock(mutex_);
  return changed_.wait_for(lock, std::chrono::minutes(1),
                           [this] { return cancelled_; });
}

FakeServer::Fate FakeServer::Arrive(
    const grpc::CallbackServerContext& context) {
  const std::lock_guard<std::mutex> lock(mutex_);
  peers_.insert(context.peer());
  metadata_.clear();
  for (const auto& [name, value] : context.client_metadata()) {
    metadata_.emplace(std::string(name.data(), name.size()),
                      std::string(value.data(), value.size()));
  }
  if (++calls_ <= script_.failures) return Fate::kFail;
  return script_.hang ? Fate::kHang : Fate::kAnswer;
}

grpc::Status FakeServer::NextFailure() {
  const std::lock_guard<std::mutex> lock(mutex_);
  const bool is_first = failed_++ == 0;
  return is_first ? script_.failure
                  : script_.second_failure.value_or(script_.failure);
}

void FakeServer::NoteCancellation() {
  const std::lock_guard<std::mutex> lock(mutex_);
  cancelled_ = true;
  changed_.notify_all();
}

void FakeServer::Score(const lm::v1::ScoreRequest& request,
                       lm::v1::ScoreResponse* response) const {
  response->mutable_model()->set_name(
      absl::StrCat("Score", std::string(script_.answer_bytes, '.')));
  for (const lm::v1::Text& text : request.texts()) {
    double number = 0;
    if (!absl::SimpleAtod(text.text(), &number)) number = 0;
    response->add_scores()->set_log_prob(number);
  }
}

}  // namespace lmserve
