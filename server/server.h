#ifndef LMSERVE_SERVER_SERVER_H_
#define LMSERVE_SERVER_SERVER_H_

#include <grpcpp/server.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model_store/model_store.h"
#include "server/admission/budget.h"
#include "server/admission/call_limiter.h"
#include "server/batching/batcher.h"
#include "server/call/limits.h"
#include "server/handlers/score_cache.h"
#include "server/handlers/serving_context.h"
#include "server/rpc/transport_security.h"
#include "server/telemetry/metrics.h"
#include "server/telemetry/metrics_exporter.h"
#include "server/telemetry/request_log.h"
#include "server/transport/call_interceptor.h"
#include "server/transport/write_watchdog.h"

namespace lmserve {

struct ServerOptions {
  std::string listen = "localhost:50051";  // HOST:PORT, port 0 picks; unix:PATH
  std::string admin_listen = "";  // the same, for what changes models; or none
  TlsOptions tls = {};
  std::string tokens_file = "";     // empty: no client needs a token
  std::string metrics_listen = "";  // HOST:PORT for Prometheus; or none
  Limits limits = {};
  CallLimiterOptions calls = {};
  BatcherOptions batcher = {};
  uint64_t score_cache_bytes = 64 << 20;  // 0: none
  RequestLogOptions log = {};
  // How long a client may take for what it is sent; 0: for ever.
  std::chrono::milliseconds stall = std::chrono::minutes(1);
  std::string version = "unknown";  // of the program
  // Called with what is served, when that has changed; not twice at a time.
  std::function<void(const ServedModels&)> on_models = nullptr;
};

// A running server: the two services, health (grpc.health.v1: "" and the names
// of services and models; a model serves while a version of it is loaded) and
// reflection. One thread at a time.
class Server {
 public:
  // Listens, then serves. Fails where the address is taken or is none, and
  // where the files of TLS or of tokens are not as they should be.
  static absl::StatusOr<std::unique_ptr<Server>> Start(
      const ServerOptions& options, std::unique_ptr<ModelStore> store);

  // Stops at once whatever still runs.
  ~Server();

  // Where it listens, with the port that was picked.
  const std::string& address() const { return main_.address; }
  const std::string& admin_address() const { return admin_.address; }

  // The port of the metrics; 0: there are none.
  int metrics_port() const {
    return exporter_ == nullptr ? 0 : exporter_->port();
  }

  // Says NOT_SERVING, goes on for the grace, in which load balancers look
  // elsewhere, then refuses new calls, and waits for those that run; what is
  // left when the time is up is cancelled.
  void Drain(std::chrono::milliseconds deadline,
             std::chrono::milliseconds grace = {});

 private:
  // Services on an address of their own.
  struct Listener {
    absl::Status Listen(const std::string& wanted,
                        const std::shared_ptr<grpc::ServerCredentials>& how,
                        const Limits& limits);

    std::vector<std::unique_ptr<grpc::Service>> services;
    std::string address = "";
    std::unique_ptr<grpc::Server> server = nullptr;  // null: does not listen
  };

  Server(const ServerOptions& options, std::unique_ptr<ModelStore> store,
         std::unique_ptr<Authenticator> authenticator);

  BatcherOptions CountedBatches(BatcherOptions options);
  absl::Status Listen();
  void FollowModels();
  void WaitForAnswers(std::chrono::steady_clock::time_point end) const;
  std::vector<grpc::Server*> Servers() const;

  const ServerOptions options_;
  const std::unique_ptr<ModelStore> store_;
  const std::unique_ptr<Authenticator> authenticator_;  // or null
  Metrics metrics_;
  const RequestLog log_;
  WriteWatchdog watchdog_;
  CallLimiter limiter_;
  Budgets budgets_;
  ScoreCache score_cache_;
  const CallInterceptor interceptor_;
  // Who changes models comes in past all others.
  CallLimiter admin_limiter_;
  Budgets admin_budgets_;
  const CallInterceptor admin_interceptor_;
  Batcher batcher_;
  const ServingContext serving_;
  std::set<std::string> healthy_;  // models, for the store's callback alone
  std::unique_ptr<MetricsExporter> exporter_;
  Listener main_;
  Listener admin_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_SERVER_H_
