// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_CLIENT_CLIENT_H_
#define LMSERVE_CLIENT_CLIENT_H_

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lm/v1/language_model.grpc.pb.h"

namespace lmserve {

// The TLS settings of a connection. Certificates and keys are PEM texts, not
// paths.
struct ClientTls {
  // The root certificates to trust; empty for those of the system.
  std::string root = {};
  // The client's own certificate and its key, for a server that requires one.
  std::string certificate = {};
  std::string key = {};
  // The name that the server's certificate must have; empty for the host of
  // the address.
  std::string server_name = {};
};

// The order in which a busy server does the work of calls; see the API.
enum class CallPriority { kInteractive, kBulk };

// What can be set for each call.
struct CallOptions {
  // The time limit; nullopt for that of the client's options, 0 for none.
  std::optional<std::chrono::milliseconds> deadline = std::nullopt;
  // nullopt for the priority of the client's options.
  std::optional<CallPriority> priority = std::nullopt;
  // Names in lower case and values, sent beside the metadata of the client's
  // options.
  std::vector<std::pair<std::string, std::string>> metadata = {};
};

struct ClientOptions {
  // HOST:PORT or unix:PATH, for one connection; or dns:///HOST:PORT or
  // ipv4:ADDRESS:PORT,..., which spreads calls over all addresses of the name
  // or of the list (round robin).
  std::string address = "localhost:50051";
  // The name of a model, or of another service that the health of the server
  // knows. Calls then go only to those addresses that report it as SERVING, and
  // wait, until their time limit, if none does. Empty: to all addresses.
  std::string health_service = {};
  // The time limit of a unary call, all its attempts together; and how long a
  // stream is tried to be opened.
  std::chrono::milliseconds deadline = std::chrono::seconds(10);
  // The time limit of LoadModel, UnloadModel and SetAlias, which may load a
  // model or wait until one is loaded.
  std::chrono::milliseconds load_deadline = std::chrono::minutes(10);
  // The time limit of a whole stream; 0 for none.
  std::chrono::milliseconds stream_deadline = std::chrono::milliseconds(0);
  // How many times a call is tried, as Retry says; 0 for as many as the time
  // limit allows.
  int attempts = 0;
  // Called with the error before a call is tried again, on the thread of the
  // call; may be null.
  std::function<void(const absl::Status&)> on_retry = nullptr;
  // The largest message that is sent or received.
  int message_bytes = 64 << 20;
  std::optional<ClientTls> tls = std::nullopt;  // not encrypted without it
  // Sent with each call as "authorization: Bearer TOKEN" unless it is empty.
  std::string token = {};
  // The priority of all calls, which CallOptions can replace, and metadata, to
  // which they can add. Without a priority, each method has its own default.
  std::optional<CallPriority> priority = std::nullopt;
  std::vector<std::pair<std::string, std::string>> metadata = {};
};

// A stream of LanguageModelService.Decode. The server answers requests in
// order; a caller may send several before it receives the first answer. If the
// stream ends before its first answer, it is opened and sent again as other
// calls are. One thread may send while another receives. The destructor cancels
// a stream that has not ended.
class DecodeStream {
 public:
  virtual ~DecodeStream() = default;

  // Returns false if the stream has ended; Receive() then returns the reason.
  virtual bool Send(const lm::v1::DecodeRequest& request) = 0;

  // Waits for the next answer. Returns the server's error if it ended the
  // stream, or OUT_OF_RANGE after Close() when all requests are answered.
  virtual absl::StatusOr<lm::v1::DecodeResponse> Receive() = 0;

  // Ends the requests: the server may now end the stream.
  virtual void Close() = 0;
};

// A connection to lm_server. Errors have the server's code, its message and, as
// payloads, its details. A call that fails because the server is UNAVAILABLE or
// too busy is tried again, so a restart of the server costs time but no error.
// A stream that a proxy resets because it has lost the server, which gRPC
// reports as INTERNAL, counts as UNAVAILABLE.
//
//   lmserve::Client client({.address = "localhost:50051"});
//   lm::v1::ScoreRequest request;
//   request.set_model("en");
//   request.add_texts()->set_text("the cat is small");
//   const auto response = client.Score(request);
//
// Any number of threads may use one client at the same time; their calls share
// its connection.
class Client {
 public:
  explicit Client(const ClientOptions& options);
  ~Client();

  absl::StatusOr<lm::v1::ScoreResponse> Score(
      const lm::v1::ScoreRequest& request,
      const CallOptions& options = {}) const;
  absl::StatusOr<lm::v1::PredictResponse> Predict(
      const lm::v1::PredictRequest& request,
      const CallOptions& options = {}) const;
  absl::StatusOr<lm::v1::RerankResponse> Rerank(
      const lm::v1::RerankRequest& request,
      const CallOptions& options = {}) const;
  absl::StatusOr<lm::v1::InspectResponse> Inspect(
      const lm::v1::InspectRequest& request,
      const CallOptions& options = {}) const;
  absl::StatusOr<lm::v1::EmbedResponse> Embed(
      const lm::v1::EmbedRequest& request,
      const CallOptions& options = {}) const;
  absl::StatusOr<lm::v1::TagResponse> Tag(
      const lm::v1::TagRequest& request, const CallOptions& options = {}) const;
  absl::StatusOr<lm::v1::ClassifyResponse> Classify(
      const lm::v1::ClassifyRequest& request,
      const CallOptions& options = {}) const;
  // All pages of the list in one message; each page is a call with the
  // deadline.
  absl::StatusOr<lm::v1::ListModelsResponse> ListModels(
      const CallOptions& options = {}) const;
  absl::StatusOr<lm::v1::GetModelResponse> GetModel(
      const lm::v1::GetModelRequest& request,
      const CallOptions& options = {}) const;

  // Change which models the server has. They require a connection to the
  // server's admin address.
  absl::StatusOr<lm::v1::LoadModelResponse> LoadModel(
      const lm::v1::LoadModelRequest& request,
      const CallOptions& options = {}) const;
  absl::StatusOr<lm::v1::UnloadModelResponse> UnloadModel(
      const lm::v1::UnloadModelRequest& request,
      const CallOptions& options = {}) const;
  absl::StatusOr<lm::v1::SetAliasResponse> SetAlias(
      const lm::v1::SetAliasRequest& request,
      const CallOptions& options = {}) const;

  // Scores a stream of requests. `next` fills a request, which is empty, or
  // returns false at the end. `receive` gets the responses in the order of the
  // requests; it returns false to stop early, which is not an error. `next`
  // runs on a thread of its own, at the same time as `receive`. ScoreStream
  // returns only after a running `next` has returned, even after an error. If
  // the stream breaks, the requests without a response are sent again in a new
  // one, whose server may have another version of the model, until
  // ClientOptions::deadline has passed without a response.
  absl::Status ScoreStream(
      absl::FunctionRef<bool(lm::v1::ScoreRequest*)> next,
      absl::FunctionRef<bool(const lm::v1::ScoreResponse&)> receive,
      const CallOptions& options = {}) const;

  // Generates text. `receive` gets every message of the stream; it returns
  // false to stop early, which is not an error. A stream that breaks after its
  // first message is an error.
  absl::Status Generate(
      const lm::v1::GenerateRequest& request,
      absl::FunctionRef<bool(const lm::v1::GenerateResponse&)> receive,
      const CallOptions& options = {}) const;

  // Returns the vocabulary of a model, all messages of the stream in one.
  absl::StatusOr<lm::v1::GetVocabularyResponse> GetVocabulary(
      const lm::v1::GetVocabularyRequest& request,
      const CallOptions& options = {}) const;

  // Opens a stream for a decoder. The client must outlive the stream.
  std::unique_ptr<DecodeStream> Decode(const CallOptions& options = {}) const;

  // Returns whether the server ("") or the model of this name is SERVING,
  // according to grpc.health.v1. NOT_FOUND if the server has no such model.
  absl::StatusOr<bool> Health(const std::string& service,
                              const CallOptions& options = {}) const;

 private:
  struct Connection;

  const ClientOptions options_;
  const std::unique_ptr<const Connection> connection_;
};

}  // namespace lmserve

#endif  // LMSERVE_CLIENT_CLIENT_H_
