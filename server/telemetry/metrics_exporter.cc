// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/metrics_exporter.h"

#include <prometheus/metric_family.h>
#include <unistd.h>

#include <exception>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace lmserve {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;

MetricFamily GaugeFamily(const std::string& name, const std::string& help) {
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = prometheus::MetricType::Gauge;
  return family;
}

MetricFamily Gauge(const std::string& name, const std::string& help,
                   double value) {
  MetricFamily family = GaugeFamily(name, help);
  family.metric.emplace_back().gauge.value = value;
  return family;
}

MetricFamily Counter(const std::string& name, const std::string& help,
                     double value) {
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = prometheus::MetricType::Counter;
  family.metric.emplace_back().counter.value = value;
  return family;
}

void AddGauge(const std::string& model, uint64_t version, double value,
              MetricFamily* family) {
  ClientMetric& metric = family->metric.emplace_back();
  metric.label = {{"model", model}, {"version", absl::StrCat(version)}};
  metric.gauge.value = value;
}

double ResidentBytes() {
  std::ifstream statm("/proc/self/statm");
  double size = 0, resident = 0;
  statm >> size >> resident;
  return resident * static_cast<double>(sysconf(_SC_PAGESIZE));
}

double OpenDescriptors() {
  std::error_code ignored;
  const std::filesystem::directory_iterator open("/proc/self/fd", ignored);
  return static_cast<double>(
      std::distance(begin(open), std::filesystem::directory_iterator()));
}

// The gauges, read at the moment of each scrape.
class LiveGauges final : public prometheus::Collectable {
 public:
  LiveGauges(const ServingContext& serving, const CallLimiter& limiter)
      : serving_(serving), limiter_(limiter) {}

  std::vector<MetricFamily> Collect() const override {
    const Budgets& budgets = serving_.budgets;
    const ScoreCache::Counts cache = serving_.score_cache.counts();
    std::vector<MetricFamily> families = {
        Gauge("lm_queued_words", "Words that are waiting for a batch",
              static_cast<double>(serving_.batcher.queued_words())),
        Gauge("lm_calls_under_way", "Running calls",
              static_cast<double>(limiter_.under_way())),
        Gauge("lm_request_bytes",
              "Memory of the requests that are being answered",
              static_cast<double>(budgets.request_bytes.taken())),
        Gauge("lm_answer_bytes",
              "Bytes of answers that clients have not yet read",
              static_cast<double>(budgets.answer_bytes.taken())),
        Gauge("lm_generate_words_left",
              "Words that the running Generate calls may still write",
              static_cast<double>(budgets.generated_words.taken())),
        Gauge("lm_state_bytes",
              "Memory of the states of Decode streams and Predict contexts, "
              "and of candidates that are compared",
              static_cast<double>(budgets.state_bytes.taken())),
        Counter("lm_score_cache_hits_total",
                "Candidates whose scores were in the cache",
                static_cast<double>(cache.hits)),
        Counter("lm_score_cache_misses_total",
                "Candidates that a model had to score",
                static_cast<double>(cache.misses)),
        Gauge("lm_score_cache_bytes", "Memory of the score cache",
              static_cast<double>(cache.bytes)),
        Gauge("process_resident_memory_bytes", "Resident memory of the process",
              ResidentBytes()),
        Gauge("process_open_fds", "Open file descriptors", OpenDescriptors())};
    AddModels(&families);
    return families;
  }

 private:
  void AddModels(std::vector<MetricFamily>* families) const {
    MetricFamily loaded =
        GaugeFamily("lm_model_loaded", "1 for each version that is served");
    MetricFamily bytes =
        GaugeFamily("lm_model_file_bytes", "Size of the files of a version");
    MetricFamily seconds = GaugeFamily("lm_model_load_seconds",
                                       "Time to verify and load a version");
    const std::shared_ptr<const ServedModels> served = serving_.store.served();
    for (const ModelStore::Entry& entry : served->List()) {
      const LoadedVersion& model = *entry.handle;
      AddGauge(model.name(), model.version(), 1, &loaded);
      AddGauge(model.name(), model.version(),
               static_cast<double>(model.file_bytes()), &bytes);
      AddGauge(model.name(), model.version(), model.load_seconds(), &seconds);
    }
    MetricFamily refused =
        GaugeFamily("lm_model_refused",
                    "1 for each version of the store that failed to load");
    for (const ModelStore::Refused& version : served->refused) {
      AddGauge(version.name, version.version, 1, &refused);
    }
    families->push_back(std::move(loaded));
    families->push_back(std::move(bytes));
    families->push_back(std::move(seconds));
    families->push_back(std::move(refused));
  }

  const ServingContext serving_;
  const CallLimiter& limiter_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsExporter>> MetricsExporter::Start(
    const std::string& address, const Metrics& metrics,
    const ServingContext& serving, const CallLimiter& limiter) {
  auto exporter = absl::WrapUnique(new MetricsExporter);
  exporter->live_gauges_ = std::make_shared<LiveGauges>(serving, limiter);
  // The library throws an exception if it cannot listen.
  try {
    exporter->exposer_ = std::make_unique<prometheus::Exposer>(address, 1);
  } catch (const std::exception& error) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on ", address,
                     " for metrics: it is in use or not valid"));
  }
  exporter->exposer_->RegisterCollectable(metrics.registry());
  exporter->exposer_->RegisterCollectable(exporter->live_gauges_);
  return exporter;
}

}  // namespace lmserve
