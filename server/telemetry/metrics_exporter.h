// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_TELEMETRY_METRICS_EXPORTER_H_
#define LMSERVE_SERVER_TELEMETRY_METRICS_EXPORTER_H_

#include <microhttpd.h>
#include <prometheus/collectable.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/admission/authenticator.h"
#include "server/admission/call_limiter.h"
#include "server/connections/connection_listener.h"
#include "server/connections/tls_context.h"
#include "server/handlers/serving_context.h"
#include "server/telemetry/metrics.h"

namespace lmserve {

// Serves the metrics for Prometheus at http://ADDRESS/metrics, on threads of
// its own: the counters of Metrics, and gauges of the loaded models, the queue,
// the running calls, the score cache and the process.
class MetricsExporter {
 public:
  // The parts of the server that have metrics. They must outlive the exporter.
  struct Sources {
    const Metrics& metrics;
    const ServingContext& serving;
    const CallLimiter& limiter;
    const ConnectionListener& connections;
    const Authenticator* authenticator;           // or null
    const TlsContext* tls;                        // or null
    std::function<uint64_t()> dropped_log_lines;  // or null
  };

  // `address` is HOST:PORT, with an IPv6 address in brackets; port 0 chooses a
  // free port. If the host has several addresses, it listens on each. Returns
  // UNAVAILABLE if it cannot.
  static absl::StatusOr<std::unique_ptr<MetricsExporter>> Start(
      const std::string& address, const Sources& sources);

  int port() const { return port_; }

 private:
  struct Stop {
    void operator()(MHD_Daemon* daemon) const { MHD_stop_daemon(daemon); }
  };

  MetricsExporter() = default;

  // Adds a daemon that listens on a socket, which the daemon will close.
  absl::Status Serve(int listening_socket);
  // The metrics in the text format of Prometheus.
  std::string Text() const;
  MHD_Result Answer(MHD_Connection* connection, absl::string_view path,
                    absl::string_view method) const;

  std::vector<std::shared_ptr<prometheus::Collectable>> collectables_;
  int port_ = 0;
  std::vector<std::unique_ptr<MHD_Daemon, Stop>> daemons_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_TELEMETRY_METRICS_EXPORTER_H_
