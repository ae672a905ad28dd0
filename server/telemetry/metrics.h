// SPDX-License-Identifier: Apache-2.0
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
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "model_store/loaded_version.h"
#include "model_store/mutex.h"
#include "model_store/served_models.h"
#include "server/batching/batcher.h"

namespace lmserve {

// The counters and histograms of the server, for Prometheus; server/README.md
// describes each. Durations are in seconds. Label values are names of methods
// and of loaded models only, so that clients cannot create new ones.
// Thread-safe.
class Metrics {
 public:
  explicit Metrics(absl::string_view server_version);

  // The metrics of one method.
  struct MethodMetrics {
    MethodMetrics(absl::string_view name, absl::string_view path,
                  prometheus::Counter& started)
        : name(name), path(path), started(started) {}

    const std::string name;
    // With its service, such as "lm.v1.LanguageModelService/Score", or the name
    // alone if it has none.
    const std::string path;
    prometheus::Counter& started;
    // By status code. A histogram is looked up by its labels only once, because
    // a look-up takes a microsecond.
    std::array<std::atomic<prometheus::Histogram*>, 17> durations = {};
  };

  // Counts the beginning of a call of a method such as "Score". REQUIRES: the
  // API has the method. What it returns lasts as long as this object.
  MethodMetrics& OnCallStarted(absl::string_view method);

  // Counts the end of a call.
  struct EndedCall {
    MethodMetrics& method;
    absl::StatusCode code;
    double seconds;
    bool was_computed;  // whether a model computed something for it
    bool may_retry;     // whether a refused call may succeed later
  };
  void OnCallEnded(const EndedCall& call);

  // Counts a batch that one model has computed.
  void OnBatch(const BatcherOptions::Batch& batch);

  // Counts a word that Generate has sent, `seconds` after the beginning of the
  // call or after the previous word.
  void OnFirstWord(const LoadedVersion& model, double seconds);
  void OnNextWord(const LoadedVersion& model, double seconds);

  // Deletes the metrics of versions that are no longer served. Otherwise a
  // store with a new version every hour would get more and more of them.
  void KeepOnly(const ServedModels& served);

  // All of the metrics, for the exporter.
  const std::shared_ptr<prometheus::Registry>& registry() const {
    return registry_;
  }

 private:
  // The metrics of one version of a model.
  struct ModelMetrics {
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
  // Calls `observe` with the metrics of a model, which it creates if necessary.
  // They are not deleted before `observe` returns.
  template <typename Observe>
  void ForModel(const LoadedVersion& model, const Observe& observe);

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

  // Has all methods of the API and does not change after construction.
  std::map<std::string, MethodMetrics, std::less<>> by_method_;
  SharedMutex models_mutex_;
  std::map<ServedModels::Version, ModelMetrics> by_model_
      ABSL_GUARDED_BY(models_mutex_);
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_TELEMETRY_METRICS_H_
