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

// Answers Prometheus at http://ADDRESS/metrics, on a thread of its own: what
// the metrics counted, and what is true at that moment of models, queue, calls,
// score cache and process.
class MetricsExporter {
 public:
  // What it tells of must outlive it. Fails where the address, HOST:PORT, is
  // taken or is none; port 0 picks one.
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
