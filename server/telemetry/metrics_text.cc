// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/metrics_text.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

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

MetricFamily CounterFamily(const std::string& name, const std::string& help) {
  MetricFamily family;
  family.name = name;
  family.help = help;
  family.type = prometheus::MetricType::Counter;
  return family;
}

MetricFamily Counter(const std::string& name, const std::string& help,
                     double value) {
  MetricFamily family = CounterFamily(name, help);
  family.metric.emplace_back().counter.value = value;
  return family;
}

void AddGauge(const std::string& model, uint64_t version, double value,
              MetricFamily* family) {
  ClientMetric& metric = family->metric.emplace_back();
  metric.label = {{"model", model}, {"version", absl::StrCat(version)}};
  metric.gauge.value = value;
}

double UnixSeconds(std::chrono::system_clock::time_point time) {
  return std::chrono::duration<double>(time.time_since_epoch()).count();
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
  explicit LiveGauges(const MetricsText::Sources& sources)
      : sources_(sources) {}

  std::vector<MetricFamily> Collect() const override {
    const ServingContext& serving = sources_.serving;
    const Budgets& budgets = serving.budgets;
    const ScoreCache::Counts cache = serving.score_cache.counts();
    const ConnectionListener::Counts connections =
        sources_.connections.counts();
    std::vector<MetricFamily> families = {
        Gauge("lm_queued_words", "Words that are waiting for a batch",
              static_cast<double>(serving.batcher.queued_words())),
        Gauge("lm_calls_under_way", "Running calls",
              static_cast<double>(sources_.limiter.under_way())),
        Gauge("lm_connections", "Open connections of clients",
              static_cast<double>(connections.connections)),
        Counter("lm_connections_accepted_total", "Connections of clients",
                static_cast<double>(connections.accepted)),
        Counter("lm_connections_refused_total",
                "Connections beyond a limit, which were closed",
                static_cast<double>(connections.refused_connections)),
        Counter("lm_connections_ended_total",
                "Connections that were closed because of what the client sent "
                "or did not send",
                static_cast<double>(connections.ended_connections)),
        Counter("lm_streams_refused_total",
                "Streams that were refused or ended: beyond a limit, idle, or "
                "during a drain",
                static_cast<double>(connections.refused_streams)),
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
    if (sources_.dropped_log_lines != nullptr) {
      families.push_back(
          Counter("lm_log_lines_dropped_total",
                  "Lines of the log that its reader did not take",
                  static_cast<double>(sources_.dropped_log_lines())));
    }
    AddHttp(&families);
    AddTraces(&families);
    AddReloads(&families);
    AddModels(&families);
    return families;
  }

 private:
  void AddHttp(std::vector<MetricFamily>* families) const {
    if (sources_.http_counts == nullptr) return;
    const MetricsText::HttpCounts counts = sources_.http_counts();
    families->push_back(Gauge("lm_http_connections",
                              "Open connections of HTTP clients",
                              static_cast<double>(counts.connections)));
    families->push_back(Counter("lm_http_connections_accepted_total",
                                "Connections of HTTP clients",
                                static_cast<double>(counts.accepted)));
    families->push_back(
        Counter("lm_http_connections_refused_total",
                "HTTP connections beyond a limit, which were closed",
                static_cast<double>(counts.refused_connections)));
    families->push_back(
        Counter("lm_http_connections_ended_total",
                "HTTP connections that were closed because of what the client "
                "sent or did not send",
                static_cast<double>(counts.ended_connections)));
    families->push_back(Counter("lm_http_requests_total",
                                "Requests over HTTP, whatever the answer",
                                static_cast<double>(counts.requests)));
  }

  void AddTraces(std::vector<MetricFamily>* families) const {
    if (sources_.tracer == nullptr) return;
    const SpanExporter::Counts counts = sources_.tracer->counts();
    families->push_back(Counter("lm_trace_spans_exported_total",
                                "Spans that the collector has accepted",
                                static_cast<double>(counts.exported)));
    MetricFamily dropped = CounterFamily(
        "lm_trace_spans_dropped_total",
        "Spans that the collector has not got, by reason: queue_full, unsent "
        "or rejected");
    for (const auto& [reason, count] :
         {std::pair{"queue_full", counts.dropped_full},
          std::pair{"unsent", counts.dropped_unsent},
          std::pair{"rejected", counts.dropped_rejected}}) {
      ClientMetric& metric = dropped.metric.emplace_back();
      metric.label = {{"reason", reason}};
      metric.counter.value = static_cast<double>(count);
    }
    families->push_back(std::move(dropped));
  }

  // Adds what is known of the files that are read again while the server runs.
  void AddReloads(std::vector<MetricFamily>* families) const {
    MetricFamily failures = CounterFamily(
        "lm_reload_failures_total",
        "Checks that found changed files of TLS or tokens with an error");
    MetricFamily checked =
        GaugeFamily("lm_reload_checked_timestamp_seconds",
                    "When the files of TLS or tokens were last read");
    const auto add = [&](const std::string& files, const auto* reader) {
      if (reader == nullptr) return;
      ClientMetric count, time;
      count.label = time.label = {{"files", files}};
      count.counter.value = static_cast<double>(reader->failures());
      time.gauge.value = UnixSeconds(reader->checked());
      failures.metric.push_back(std::move(count));
      checked.metric.push_back(std::move(time));
    };
    add("tls", sources_.tls);
    add("tokens", sources_.authenticator);
    families->push_back(std::move(failures));
    families->push_back(std::move(checked));
    if (sources_.tls == nullptr) return;
    families->push_back(Gauge("lm_tls_certificate_expiry_timestamp_seconds",
                              "When the certificate in use expires",
                              UnixSeconds(sources_.tls->expiry())));
  }

  void AddModels(std::vector<MetricFamily>* families) const {
    MetricFamily loaded =
        GaugeFamily("lm_model_loaded", "1 for each version that is served");
    MetricFamily bytes =
        GaugeFamily("lm_model_file_bytes", "Size of the files of a version");
    MetricFamily seconds = GaugeFamily("lm_model_load_seconds",
                                       "Time to verify and load a version");
    const std::shared_ptr<const ServedModels> served =
        sources_.serving.store.served();
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
    // What was refused for several reasons is one series.
    std::set<ServedModels::Version> versions;
    for (const ModelStore::Refused& version : served->refused) {
      if (!versions.emplace(version.name, version.version).second) continue;
      AddGauge(version.name, version.version, 1, &refused);
    }
    MetricFamily incomplete = GaugeFamily(
        "lm_model_incomplete",
        "1 for each version of the store that someone may still be copying");
    for (const ModelStore::Refused& version : served->incomplete) {
      AddGauge(version.name, version.version, 1, &incomplete);
    }
    MetricFamily names = GaugeFamily(
        "lm_model_name_served",
        "1 if the name of a model stands for a version that is served, 0 if it "
        "does not");
    for (const std::string& name : served->Names()) {
      prometheus::ClientMetric metric;
      metric.label = {{"model", name}};
      metric.gauge.value = served->GetEntry(name).ok() ? 1 : 0;
      names.metric.push_back(std::move(metric));
    }
    families->push_back(std::move(names));
    families->push_back(std::move(loaded));
    families->push_back(std::move(bytes));
    families->push_back(std::move(seconds));
    families->push_back(std::move(refused));
    families->push_back(std::move(incomplete));
  }

  const MetricsText::Sources sources_;
};

}  // namespace

MetricsText::MetricsText(const Sources& sources)
    : collectables_{sources.metrics.registry(),
                    std::make_shared<LiveGauges>(sources)} {}

std::string MetricsText::operator()() const {
  std::vector<MetricFamily> families;
  for (const auto& collectable : collectables_) {
    std::vector<MetricFamily> collected = collectable->Collect();
    std::move(collected.begin(), collected.end(), std::back_inserter(families));
  }
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace lmserve
