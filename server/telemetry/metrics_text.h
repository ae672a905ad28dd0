// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_TELEMETRY_METRICS_TEXT_H_
#define LMSERVE_SERVER_TELEMETRY_METRICS_TEXT_H_

#include <prometheus/collectable.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/admission/authenticator.h"
#include "server/admission/call_limiter.h"
#include "server/connections/connection_listener.h"
#include "server/connections/tls_context.h"
#include "server/handlers/serving_context.h"
#include "server/telemetry/metrics.h"
#include "server/telemetry/tracer.h"

namespace lmserve {

// The metrics in the text format of Prometheus: the counters of Metrics, and
// gauges of the loaded models, the queue, the running calls, the score cache
// and the process. Thread-safe.
class MetricsText {
 public:
  // What an HTTP server has counted.
  struct HttpCounts {
    uint64_t connections;          // now
    uint64_t accepted;             // since the start
    uint64_t refused_connections;  // beyond a limit
    uint64_t ended_connections;    // for what the client sent, or did not send
    uint64_t requests;
  };

  // The parts of the server that have metrics. They must outlive this object.
  struct Sources {
    const Metrics& metrics;
    const ServingContext& serving;
    const CallLimiter& limiter;
    const ConnectionListener& connections;
    const Authenticator* authenticator;           // or null
    const TlsContext* tls;                        // or null
    const Tracer* tracer;                         // or null
    std::function<uint64_t()> dropped_log_lines;  // or null
    std::function<HttpCounts()> http_counts;      // or null
  };

  explicit MetricsText(const Sources& sources);

  // The metrics at this moment. Takes milliseconds.
  std::string operator()() const;

 private:
  const std::vector<std::shared_ptr<prometheus::Collectable>> collectables_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_TELEMETRY_METRICS_TEXT_H_
