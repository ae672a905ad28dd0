#ifndef LMSERVE_SERVER_SERVER_H_
#define LMSERVE_SERVER_SERVER_H_

#include <grpcpp/server.h>

#include <chrono>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "model_store/model_store.h"
#include "server/batcher.h"
#include "server/call_gate.h"
#include "server/limits.h"
#include "server/metrics.h"
#include "server/metrics_exporter.h"
#include "server/reception.h"
#include "server/request_log.h"
#include "server/transport_security.h"

namespace lmserve {

struct ServerOptions {
  std::string listen = "localhost:50051";  // HOST:PORT, port 0 picks; unix:PATH
  TlsOptions tls;
  std::string tokens_file;     // empty: no client needs a token
  std::string metrics_listen;  // HOST:PORT for Prometheus; or none
  Limits limits;
  CallGateOptions calls;
  BatcherOptions batcher;
  RequestLogOptions log;
  std::string version = "unknown";  // of the program
};

// A running server: the two services, health (grpc.health.v1: "" and the names
// of services and models) and reflection. One thread at a time.
class Server {
 public:
  // Listens, then serves. Fails where the address is taken or is none, and
  // where the files of TLS or of tokens are not as they should be.
  static absl::StatusOr<std::unique_ptr<Server>> Start(
      const ServerOptions& options, std::unique_ptr<const ModelStore> store);

  // Stops at once whatever still runs.
  ~Server();

  // Where it listens, with the port that was picked.
  const std::string& address() const { return address_; }

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
  Server(const ServerOptions& options, std::unique_ptr<const ModelStore> store,
         std::unique_ptr<Authenticator> authenticator);

  BatcherOptions CountedBatches(BatcherOptions options);
  absl::Status Listen();
  void SetServing();

  const ServerOptions options_;
  const std::unique_ptr<const ModelStore> store_;
  const std::unique_ptr<Authenticator> authenticator_;  // or null
  Metrics metrics_;
  const RequestLog log_;
  CallGate gate_;
  const Reception reception_;
  Batcher batcher_;
  const std::unique_ptr<grpc::Service> language_model_service_;
  const std::unique_ptr<grpc::Service> model_service_;
  std::string address_;
  std::unique_ptr<MetricsExporter> exporter_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_SERVER_H_
