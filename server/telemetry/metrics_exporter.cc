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

MetricFamily Gauges(const std::string& name, const std::string& help) {
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = prometheus::MetricType::Gauge;
  return family;
}

MetricFamily Gauge(const std::string& name, const std::string& help,
                   double value) {
  MetricFamily family = Gauges(name, help);
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

void Add(const std::string& model, uint64_t version, double value,
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

// What is true at the moment of asking.
class LiveGauges final : public prometheus::Collectable {
 public:
  LiveGauges(const ServingContext& serving, const CallLimiter& limiter)
      : serving_(serving), limiter_(limiter) {}

  std::vector<MetricFamily> Collect() const override {
    const Budgets& budgets = serving_.budgets;
    const ScoreCache::Counts cache = serving_.score_cache.counts();
    std::vector<MetricFamily> families = {
        Gauge("lm_queued_words", "Words that wait for a batch",
              static_cast<double>(serving_.batcher.queued_words())),
        Gauge("lm_calls_under_way", "Calls that have come and not ended",
              static_cast<double>(limiter_.under_way())),
        Gauge("lm_request_bytes", "Bytes of requests that are being answered",
              static_cast<double>(budgets.request_bytes.taken())),
        Gauge("lm_answer_bytes", "Bytes of answers that are on their way",
              static_cast<double>(budgets.answer_bytes.taken())),
        Gauge("lm_generate_words_left",
              "Words that the Generate calls under way may write at most",
              static_cast<double>(budgets.generated_words.taken())),
        Gauge("lm_state_bytes",
              "Bytes of states of decoders and contexts, and of candidates "
              "compared",
              static_cast<double>(budgets.state_bytes.taken())),
        Counter("lm_score_cache_hits_total",
                "Candidates that a model had scored before",
                static_cast<double>(cache.hits)),
        Counter("lm_score_cache_misses_total",
                "Candidates that a model had to score",
                static_cast<double>(cache.misses)),
        Gauge("lm_score_cache_bytes", "Bytes of scores that are remembered",
              static_cast<double>(cache.bytes)),
        Gauge("process_resident_memory_bytes", "Resident memory",
              ResidentBytes()),
        Gauge("process_open_fds", "Open file descriptors", OpenDescriptors())};
    AddModels(&families);
    return families;
  }

 private:
  void AddModels(std::vector<MetricFamily>* families) const {
    MetricFamily loaded =
        Gauges("lm_model_loaded", "Versions that are served; 1");
    MetricFamily bytes = Gauges("lm_model_file_bytes", "Size of the files");
    MetricFamily seconds = Gauges(
        "lm_model_load_seconds", "How long loading took, verification and all");
    const std::shared_ptr<const ServedModels> served = serving_.store.served();
    for (const ModelStore::Entry& entry : served->List()) {
      const LoadedVersion& model = *entry.handle;
      Add(model.name(), model.version(), 1, &loaded);
      Add(model.name(), model.version(),
          static_cast<double>(model.file_bytes()), &bytes);
      Add(model.name(), model.version(), model.load_seconds(), &seconds);
    }
    MetricFamily refused = Gauges(
        "lm_model_refused", "Versions of the store that failed to load; 1");
    for (const ModelStore::Refused& version : served->refused) {
      Add(version.name, version.version, 1, &refused);
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
  // The library tells of an address that is taken by an exception.
  try {
    exporter->exposer_ = std::make_unique<prometheus::Exposer>(address, 1);
  } catch (const std::exception& error) {
    return absl::UnavailableError(absl::StrCat("cannot listen on ", address,
                                               " for metrics: the address is "
                                               "taken, or is none"));
  }
  exporter->exposer_->RegisterCollectable(metrics.registry());
  exporter->exposer_->RegisterCollectable(exporter->live_gauges_);
  return exporter;
}

}  // namespace lmserve
