// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_TELEMETRY_METRICS_EXPORTER_H_
#define LMSERVE_SERVER_TELEMETRY_METRICS_EXPORTER_H_

#include <prometheus/collectable.h>
#include <prometheus/exposer.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/admission/call_limiter.h"
#include "server/handlers/serving_context.h"
#include "server/telemetry/metrics.h"

namespace lmserve {

// Serves the metrics for Prometheus at http://ADDRESS/metrics, on a thread of
// its own: the counters of Metrics, and gauges of the loaded models, the queue,
// the running calls, the score cache and the process.
class MetricsExporter {
 public:
  // The arguments must outlive the exporter. `address` is HOST:PORT; port 0
  // chooses a free port. Returns UNAVAILABLE if it cannot listen there.
  static absl::StatusOr<std::unique_ptr<MetricsExporter>> Start(
      const std::string& address, const Metrics& metrics,
      const ServingContext& serving, const CallLimiter& limiter);

  int port() const { return exposer_->GetListeningPorts().front(); }

 private:
  MetricsExporter() = default;

  std::shared_ptr<prometheus::Collectable> live_gauges_;
  std::unique_ptr<prometheus::Exposer> exposer_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_TELEMETRY_METRICS_EXPORTER_H_
