#ifndef LMSERVE_CLIENT_CLIENT_H_
#define LMSERVE_CLIENT_CLIENT_H_

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lm/v1/language_model.grpc.pb.h"

namespace lmserve {

// What a client knows its server by, and shows of itself: texts in PEM. An
// empty root stands for those that the system trusts; the client's own
// certificate and key are for servers that ask for one. The server's
// certificate must be for server_name, or, where that is empty, for the host of
// the address.
struct ClientTls {
  std::string root = "";
  std::string certificate = "";
  std::string key = "";
  std::string server_name = "";
};

struct ClientOptions {
  std::string address = "localhost:50051";
  // Of a unary call, all its attempts together.
  std::chrono::milliseconds deadline = std::chrono::seconds(10);
  // Of a call that changes models: it may have to load one, or wait for that.
  std::chrono::milliseconds load_deadline = std::chrono::minutes(10);
  // Of a stream as a whole; 0 for none.
  std::chrono::milliseconds stream_deadline = std::chrono::milliseconds(0);
  // How often a call is tried while the server is UNAVAILABLE, with pauses of
  // 0.1 s, 0.2 s, ... between; 1 to 5.
  int attempts = 4;
  int message_bytes = 64 << 20;
  std::optional<ClientTls> tls;  // none: the connection is not encrypted
  std::string token;  // sent as "authorization: Bearer TOKEN"; empty: none
};

// A stream of LanguageModelService.Decode: requests are answered in their
// order, and may be sent ahead. One thread may send while another receives.
class DecodeStream {
 public:
  virtual ~DecodeStream() = default;

  // False: the stream has ended, and Receive() tells why.
  virtual bool Send(const lm::v1::DecodeRequest& request) = 0;

  // The next answer, or why the stream has ended: OUT_OF_RANGE where all that
  // was sent before Close() is answered.
  virtual absl::StatusOr<lm::v1::DecodeResponse> Receive() = 0;

  // No more requests come.
  virtual void Close() = 0;
};

// A connection to lm_server. Errors have the server's code and message.
//
//   lmserve::Client client({.address = "localhost:50051"});
//   lm::v1::ScoreRequest request;
//   request.set_model("en");
//   request.add_texts()->set_text("the cat is small");
//   const auto response = client.Score(request);
//
// Cheap to share and meant to be: any number of threads may use one, and their
// calls share its connection.
class Client {
 public:
  explicit Client(const ClientOptions& options);
  ~Client();

  absl::StatusOr<lm::v1::ScoreResponse> Score(
      const lm::v1::ScoreRequest& request) const;
  absl::StatusOr<lm::v1::PredictResponse> Predict(
      const lm::v1::PredictRequest& request) const;
  absl::StatusOr<lm::v1::RerankResponse> Rerank(
      const lm::v1::RerankRequest& request) const;
  absl::StatusOr<lm::v1::ListModelsResponse> ListModels() const;
  absl::StatusOr<lm::v1::GetModelResponse> GetModel(
      const lm::v1::GetModelRequest& request) const;

  // Change the models; for a connection to the server's admin address.
  absl::StatusOr<lm::v1::LoadModelResponse> LoadModel(
      const lm::v1::LoadModelRequest& request) const;
  absl::StatusOr<lm::v1::UnloadModelResponse> UnloadModel(
      const lm::v1::UnloadModelRequest& request) const;
  absl::StatusOr<lm::v1::SetAliasResponse> SetAlias(
      const lm::v1::SetAliasRequest& request) const;

  // Scores a stream of requests: `next` fills one, or says false at the end;
  // `receive` gets the responses in the same order, or says false to stop. The
  // two run at the same time, `next` on a thread of its own. Returns when a
  // `next` that has begun has come back, also after an error.
  absl::Status ScoreStream(
      absl::FunctionRef<bool(lm::v1::ScoreRequest*)> next,
      absl::FunctionRef<bool(const lm::v1::ScoreResponse&)> receive) const;

  // Generates text: `receive` gets every message, or says false to stop, which
  // is no error.
  absl::Status Generate(
      const lm::v1::GenerateRequest& request,
      absl::FunctionRef<bool(const lm::v1::GenerateResponse&)> receive) const;

  // Opens a stream for a decoder. The client must outlive it.
  std::unique_ptr<DecodeStream> Decode() const;

  // Whether the server ("") or a model is SERVING, after grpc.health.v1.
  absl::StatusOr<bool> Health(const std::string& service) const;

 private:
  struct Connection;

  const ClientOptions options_;
  const std::unique_ptr<const Connection> connection_;
};

}  // namespace lmserve

#endif  // LMSERVE_CLIENT_CLIENT_H_
