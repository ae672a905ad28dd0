// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_SERVER_H_
#define LMSERVE_SERVER_SERVER_H_

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model_store/background_thread.h"
#include "model_store/model_store.h"
#include "server/admission/authenticator.h"
#include "server/admission/budget.h"
#include "server/admission/call_limiter.h"
#include "server/batching/batcher.h"
#include "server/call/limits.h"
#include "server/connections/connection_listener.h"
#include "server/connections/tls_context.h"
#include "server/handlers/score_cache.h"
#include "server/handlers/serving_context.h"
#include "server/http/http_server.h"
#include "server/telemetry/metrics.h"
#include "server/telemetry/request_log.h"
#include "server/telemetry/tracer.h"
#include "server/transport/call_interceptor.h"
#include "server/transport/health_states.h"
#include "server/transport/shutdown_signal.h"
#include "server/transport/write_watchdog.h"

namespace lmserve {

// How long connections of clients last. 0 stands for no limit.
struct ConnectionOptions {
  // An older connection gets no new calls: its client connects again, so that
  // load balancers can distribute clients. The age varies by up to a tenth.
  std::chrono::milliseconds max_age{0};
  // The calls of a connection that is too old are cancelled after this time.
  std::chrono::milliseconds age_grace = std::chrono::minutes(5);
  // A connection without calls is closed after this time.
  std::chrono::milliseconds max_idle = std::chrono::hours(1);
  // A client that sends keepalive pings faster than this, with calls or without
  // them, loses its connection.
  std::chrono::milliseconds min_ping_interval = std::chrono::seconds(5);
};

struct ServerOptions {
  // HOST:PORT, where port 0 chooses a free port, or unix:PATH.
  std::string listen = "localhost:50051";
  // The same, for the methods that change which models are served. Empty: these
  // methods are not available.
  std::string admin_listen = {};
  // The same, for a port that answers health alone, without TLS: for probes and
  // load balancers that cannot encrypt. Empty: no such port.
  std::string health_listen = {};
  ConnectionOptions connections = {};
  ListenerOptions listener = {};
  TlsOptions tls = {};
  std::string tokens_file = {};  // empty: clients need no token
  // Time between checks whether the file of tokens has changed.
  std::chrono::milliseconds tokens_check = std::chrono::seconds(1);
  std::string metrics_listen = {};  // HOST:PORT for Prometheus; empty: none
  // The API over HTTP, on addresses as `listen` and `admin_listen`. Empty:
  // none.
  std::string http_listen = {};
  std::string http_admin_listen = {};
  HttpPolicyOptions http_policy = {};
  Limits limits = {};
  CallLimiterOptions calls = {};
  BatcherOptions batcher = {};
  uint64_t score_cache_bytes = 64 << 20;  // 0: no cache
  RequestLogOptions log = {};
  // A call is cancelled if its client takes longer than this to read a message.
  // 0: no limit.
  std::chrono::milliseconds stall = std::chrono::minutes(1);
  std::string version = "unknown";  // of the program, for the metrics
  // Returns how many lines of the log were dropped, for the metrics.
  std::function<uint64_t()> dropped_log_lines = nullptr;
  // Names of models, in the form of ServedModels::Get(), that must be loaded
  // before health reports the server as SERVING. Empty: any model or reranker.
  std::vector<std::string> required_models = {};
  // Traces calls. Null: none are traced.
  std::shared_ptr<const Tracer> tracer = nullptr;
  // Called after each change of the served models, by one thread at a time.
  std::function<void(const ServedModels&)> on_models = nullptr;
};

// Returns the required models that are not loaded, joined by commas.
std::string MissingModels(const ServedModels& served,
                          const std::vector<std::string>& required);

// A running server with LanguageModelService, ModelService, reflection, and
// health (grpc.health.v1), which knows "", the names of the services and those
// of the models. A model is SERVING while its default version is loaded, and ""
// while all required models are. The services are SERVING while the server
// answers. For one thread at a time.
class Server {
 public:
  // Returns the error that Start() would return because of a file of TLS or of
  // tokens.
  static absl::Status CheckFiles(const ServerOptions& options);

  // Returns a server that answers calls. Returns UNAVAILABLE if it cannot
  // listen on an address, and INVALID_ARGUMENT if a file of TLS or the file of
  // tokens has an error.
  static absl::StatusOr<std::unique_ptr<Server>> Start(
      const ServerOptions& options, std::unique_ptr<ModelStore> store);

  // Cancels the calls that are still running.
  ~Server();

  // The addresses on which it listens, with the port that it chose for port 0.
  const std::string& address() const { return main_.connections->address(); }
  // REQUIRES: options.admin_listen is not empty.
  const std::string& admin_address() const {
    return admin_.connections->address();
  }

  // REQUIRES: options.health_listen is not empty.
  const std::string& health_address() const {
    return health_only_.connections->address();
  }

  // The addresses for HTTP. REQUIRES: the option is not empty.
  const std::string& http_address() const { return http_->address(); }
  const std::string& http_admin_address() const {
    return http_admin_->address();
  }

  // The port of the metrics, or 0 if there are none.
  int metrics_port() const;

  // Shuts the server down. Reports NOT_SERVING and continues for `grace`, so
  // that load balancers can choose another server. Then refuses new calls,
  // waits up to `deadline` for the running ones, and ends the rest: with
  // UNAVAILABLE, or, if a call does not end soon because its client does not
  // read or its batch takes long, by closing its connection.
  void Drain(std::chrono::milliseconds deadline,
             std::chrono::milliseconds grace = {});

  // False after a Drain() that had to abandon a thread that reads files, see
  // ModelStore::Stop().
  bool all_threads_ended() const { return all_threads_ended_; }

 private:
  // One address and the services on it: health, and those of `services` with
  // reflection.
  struct Listener {
    // Sets all members but services.
    absl::Status Listen(const std::string& address,
                        const ServerOptions& options,
                        std::shared_ptr<const TlsContext> tls);

    std::vector<std::unique_ptr<grpc::Service>> services;
    // Refuses all other methods. gRPC starts no server without any service.
    grpc::CallbackGenericService unimplemented = {};
    std::unique_ptr<grpc::Server> server = nullptr;  // null: not listening
    // Hands connections to the server, and so is destroyed before it.
    std::unique_ptr<grpc::experimental::ExternalConnectionAcceptor> acceptor =
        nullptr;
    std::unique_ptr<ConnectionListener> connections = nullptr;
  };

  Server(const ServerOptions& options, std::unique_ptr<ModelStore> store,
         std::unique_ptr<Authenticator> authenticator,
         std::shared_ptr<TlsContext> tls);

  BatcherOptions CountedBatches(BatcherOptions options);
  absl::Status Listen();
  absl::Status ListenHttp();
  // Makes an HTTP server for an address of the options.
  std::unique_ptr<HttpServer> MakeHttp(const CallInterceptor& interceptor,
                                       const HttpPolicyOptions& policy) const;
  std::function<std::string()> MakeMetricsText();
  // Sets what health says of a name, on every address that knows models.
  void SetHealth(const std::string& name, bool is_serving);
  // Adapts health and metrics to the models that are served now.
  void OnModelsChanged();
  // Asks the running calls to end, and waits up to half a second for them.
  void EndCalls();
  // Ends the threads that read files. Returns whether they have ended.
  bool StopThreads();
  // Waits until clients have read all answers, or until `end`.
  void WaitForAnswers(std::chrono::steady_clock::time_point end) const;
  std::vector<const Listener*> Listeners() const;
  std::vector<HttpServer*> HttpServers() const;

  const ServerOptions options_;
  const std::unique_ptr<ModelStore> store_;
  bool all_threads_ended_ = true;
  const std::unique_ptr<Authenticator> authenticator_;  // or null
  const std::shared_ptr<TlsContext> tls_;               // or null
  // Reads the files of TLS again, which may hang. Null without TLS.
  std::unique_ptr<BackgroundThread> tls_thread_;
  Metrics metrics_;
  const RequestLog log_;
  WriteWatchdog watchdog_;
  ShutdownSignal shutdown_;
  CallLimiter limiter_;
  Budgets budgets_;
  ScoreCache score_cache_;
  const CallInterceptor interceptor_;
  // Calls of administrators do not count against the limits of other calls.
  CallLimiter admin_limiter_;
  Budgets admin_budgets_;
  const CallInterceptor admin_interceptor_;
  Batcher batcher_;
  const ServingContext serving_;
  // Whether health reports the model of a name as SERVING. Only the thread of
  // the store uses it.
  std::map<std::string, bool> health_;
  HealthStates health_states_;  // the same, for HTTP
  std::string missing_;         // required models, as the log has said
  Listener main_;
  Listener admin_;
  Listener health_only_;
  std::unique_ptr<HttpServer> metrics_http_;
  std::unique_ptr<HttpServer> http_;
  std::unique_ptr<HttpServer> http_admin_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_SERVER_H_
