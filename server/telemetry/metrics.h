#ifndef LMSERVE_SERVER_TELEMETRY_METRICS_H_
#define LMSERVE_SERVER_TELEMETRY_METRICS_H_

#include <prometheus/counter.h>
#include <prometheus/family.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "model_store/loaded_version.h"
#include "model_store/served_models.h"
#include "server/batching/batcher.h"

namespace lmserve {

// What the server counts and measures, for Prometheus: durations in seconds, as
// histograms; labels are names of methods and of loaded models alone, so that
// no client can make new ones. Described in server/README.md. Any number of
// threads may use one.
class Metrics {
 public:
  explicit Metrics(absl::string_view server_version);

  // What is counted of the calls of one method.
  struct OfMethod {
    OfMethod(absl::string_view name, prometheus::Counter& started)
        : name(name), started(started) {}

    const std::string name;
    prometheus::Counter& started;
    // By code, found or made once, for to find a metric by its labels takes a
    // microsecond.
    std::array<std::atomic<prometheus::Histogram*>, 17> durations = {};
  };

  // A call of a method such as "Score" has come; REQUIRES: the API has it. What
  // it returns lasts as long as this.
  OfMethod& OnCallStarted(absl::string_view method);

  // A call has ended.
  struct EndedCall {
    OfMethod& method;
    absl::StatusCode code;
    double seconds;
    bool was_computed;  // whether a model was asked before it ended
    bool may_retry;     // whether it was refused for now, rather than for good
  };
  void OnCallEnded(const EndedCall& call);

  // Work that was done for calls on one model.
  void OnBatch(const BatcherOptions::Batch& batch);

  // A word of a generated text was sent, so long after the call came, or after
  // the word before.
  void OnFirstWord(const LoadedVersion& model, double seconds);
  void OnNextWord(const LoadedVersion& model, double seconds);

  // Forgets the versions that are served no longer: else whoever publishes
  // every hour would have ever more of them.
  void KeepOnly(const ServedModels& served);

  // What can be scraped.
  const std::shared_ptr<prometheus::Registry>& registry() const {
    return registry_;
  }

 private:
  // Those of one model version.
  struct OfModel {
    prometheus::Histogram& queue;
    prometheus::Histogram& compute;
    prometheus::Histogram& batch_calls;
    prometheus::Histogram& batch_words;
    prometheus::Counter& words;
    prometheus::Histogram& first_word;
    prometheus::Histogram& next_word;
  };

  prometheus::Family<prometheus::Histogram>& AddHistogram(
      const std::string& name, const std::string& help);
  prometheus::Family<prometheus::Counter>& AddCounter(const std::string& name,
                                                      const std::string& help);
  template <typename Observe>
  void OnModel(const LoadedVersion& model, const Observe& observe);

  const std::shared_ptr<prometheus::Registry> registry_;
  prometheus::Family<prometheus::Counter>& started_;
  prometheus::Family<prometheus::Histogram>& durations_;
  prometheus::Family<prometheus::Counter>& rejects_;
  prometheus::Family<prometheus::Counter>& cancellations_;
  prometheus::Family<prometheus::Histogram>& queue_;
  prometheus::Family<prometheus::Histogram>& compute_;
  prometheus::Family<prometheus::Histogram>& batch_calls_;
  prometheus::Family<prometheus::Histogram>& batch_words_;
  prometheus::Family<prometheus::Counter>& words_;
  prometheus::Family<prometheus::Histogram>& first_word_;
  prometheus::Family<prometheus::Histogram>& next_word_;

  std::map<std::string, OfMethod, std::less<>> by_method_;  // all of the API
  // Read by those who observe, written by those who add and forget.
  std::shared_mutex models_mutex_;
  std::map<ServedModels::Version, OfModel> by_model_;  // guarded by it
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_TELEMETRY_METRICS_H_
