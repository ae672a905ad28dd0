#include "server/services.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "lm/v1/language_model.grpc.pb.h"
#include "server/generation.h"
#include "server/predict.h"
#include "server/rerank.h"
#include "server/score.h"
#include "server/unary.h"

namespace lmserve {
namespace {

using lm::v1::LanguageModelService;

// Reads a request, writes its answer, and so on until the client is done. The
// first error ends the stream, and tells which request it is of, the first
// being 0. Deletes itself.
class ScoreStreamReactor final
    : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer> {
 public:
  ScoreStreamReactor(const ModelStore& store, const Limits& limits,
                     CallGate::Pass pass)
      : store_(store), limits_(limits), pass_(std::move(pass)) {
    if (pass_ == nullptr) {
      Finish(ToGrpcStatus(ShuttingDown()));
    } else {
      StartRead(&request_);
    }
  }

  void OnReadDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::OK);
    const absl::Status status =
        AnswerBytes<lm::v1::ScoreRequest, lm::v1::ScoreResponse>(
            request_, &response_,
            [this](const lm::v1::ScoreRequest& request,
                   lm::v1::ScoreResponse* response) {
              return Score(store_, limits_, request, response);
            });
    if (!status.ok()) {
      return Finish(ToGrpcStatus(absl::Status(
          status.code(),
          absl::StrCat("request ", answered_, ": ", status.message()))));
    }
    ++answered_;
    StartWrite(&response_);
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::CANCELLED);
    StartRead(&request_);
  }

  void OnDone() override { delete this; }

 private:
  const ModelStore& store_;
  const Limits& limits_;
  const CallGate::Pass pass_;
  uint64_t answered_ = 0;
  grpc::ByteBuffer request_;
  grpc::ByteBuffer response_;
};

// Draws a word when the one before is on its way: a slow reader holds up its
// own stream alone, and a cancelled one stops within a word. Deletes itself.
class GenerateReactor final
    : public grpc::ServerWriteReactor<grpc::ByteBuffer> {
 public:
  GenerateReactor(const ModelStore& store, const Limits& limits,
                  CallGate::Pass pass, const grpc::ByteBuffer& bytes)
      : pass_(std::move(pass)) {
    const absl::Status status =
        pass_ == nullptr ? ShuttingDown() : Start(store, limits, bytes);
    if (status.ok()) {
      WriteNext();
    } else {
      Finish(ToGrpcStatus(status));
    }
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return Finish(grpc::Status::CANCELLED);
    WriteNext();
  }

  void OnDone() override { delete this; }

 private:
  absl::Status Start(const ModelStore& store, const Limits& limits,
                     const grpc::ByteBuffer& bytes) {
    lm::v1::GenerateRequest request;
    absl::Status status = ParseMessage(bytes, &request);
    if (!status.ok()) return status;
    auto generation = Generation::Start(store, limits, request);
    if (generation.ok()) generation_ = *std::move(generation);
    return generation.status();
  }

  void WriteNext() {
    lm::v1::GenerateResponse response;
    if (!generation_->Next(&response)) return Finish(grpc::Status::OK);
    SerializeMessage(response, &bytes_);
    StartWrite(&bytes_);
  }

  const CallGate::Pass pass_;
  std::unique_ptr<Generation> generation_;
  grpc::ByteBuffer bytes_;
};

using RawLanguageModelService =
    LanguageModelService::WithRawCallbackMethod_Score<
        LanguageModelService::WithRawCallbackMethod_ScoreStream<
            LanguageModelService::WithRawCallbackMethod_Predict<
                LanguageModelService::WithRawCallbackMethod_Rerank<
                    LanguageModelService::WithRawCallbackMethod_Generate<
                        LanguageModelService::Service>>>>>;

class LanguageModelServiceImpl final : public RawLanguageModelService {
 public:
  LanguageModelServiceImpl(const ModelStore& store, const Limits& limits,
                           CallGate& gate)
      : store_(store), limits_(limits), gate_(gate) {}

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
      grpc::CallbackServerContext* /*context*/) override {
    return std::make_unique<ScoreStreamReactor>(store_, limits_, gate_.Enter())
        .release();
  }

  grpc::ServerWriteReactor<grpc::ByteBuffer>* Generate(
      grpc::CallbackServerContext* /*context*/,
      const grpc::ByteBuffer* request) override {
    return std::make_unique<GenerateReactor>(store_, limits_, gate_.Enter(),
                                             *request)
        .release();
  }

 private:
  template <typename Request, typename Response>
  grpc::ServerUnaryReactor* Answer(
      grpc::CallbackServerContext* context, const grpc::ByteBuffer* in,
      grpc::ByteBuffer* out,
      absl::Status (*answer)(const ModelStore&, const Limits&, const Request&,
                             Response*)) {
    return AnswerUnary<Request, Response>(
        gate_, context, *in, out,
        [=, this](const Request& request, Response* response) {
          return answer(store_, limits_, request, response);
        });
  }

  const ModelStore& store_;
  const Limits& limits_;
  CallGate& gate_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeLanguageModelService(const ModelStore& store,
                                                        const Limits& limits,
                                                        CallGate& gate) {
  return std::make_unique<LanguageModelServiceImpl>(store, limits, gate);
}

}  // namespace lmserve
