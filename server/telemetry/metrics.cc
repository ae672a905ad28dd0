#include "server/telemetry/metrics.h"

#include <google/protobuf/descriptor.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "lm/v1/language_model.pb.h"

namespace lmserve {
namespace {

using prometheus::Histogram;

// Those of gRPC's own metrics (proposal A66), as far as they make sense here.
Histogram::BucketBoundaries SecondBuckets() {
  return {10e-6, 50e-6, 100e-6, 300e-6, 600e-6, 1e-3,   2e-3,
          5e-3,  10e-3, 20e-3,  50e-3,  100e-3, 200e-3, 500e-3,
          1,     2,     5,      10,     20,     50,     100};
}

Histogram::BucketBoundaries CountBuckets() {
  return {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384};
}

// Why a call was not served, or nothing where it is no matter of the server.
absl::string_view RejectReason(const Metrics::EndedCall& call) {
  switch (call.code) {
    case absl::StatusCode::kResourceExhausted:
      return call.may_retry ? "overload" : "too_large";
    case absl::StatusCode::kUnavailable:
      return "shutting_down";
    case absl::StatusCode::kUnauthenticated:
      return "unauthenticated";
    case absl::StatusCode::kPermissionDenied:
      return "forbidden";
    default:
      return "";
  }
}

}  // namespace

Metrics::Metrics(absl::string_view server_version)
    : registry_(std::make_shared<prometheus::Registry>()),
      started_(AddCounter("grpc_server_call_started_total",
                          "Calls that came, by method")),
      durations_(AddHistogram("grpc_server_call_duration_seconds",
                              "How long calls took, by method and code")),
      rejects_(AddCounter("lm_rejected_total",
                          "Calls that were not served, by reason")),
      cancellations_(AddCounter("lm_cancelled_total",
                                "Calls that were cancelled or late, by where: "
                                "before, or while they were computed")),
      queue_(AddHistogram("lm_queue_seconds",
                          "How long work waited for its batch")),
      compute_(AddHistogram("lm_compute_seconds", "How long batches took")),
      batch_calls_(AddHistogram("lm_batch_calls", "Calls in a batch")),
      batch_words_(AddHistogram("lm_batch_words", "Words in a batch")),
      words_(AddCounter("lm_words_total", "Words that models have read")),
      first_word_(AddHistogram("lm_first_word_seconds",
                               "From a Generate call to its first word")),
      next_word_(AddHistogram("lm_next_word_seconds",
                              "From one word of a Generate to the next")) {
  prometheus::BuildGauge()
      .Name("lm_build_info")
      .Help("Which server this is; 1")
      .Register(*registry_)
      .Add({{"version", std::string(server_version)}})
      .Set(1);
  const google::protobuf::FileDescriptor& api =
      *lm::v1::ScoreRequest::descriptor()->file();
  for (int i = 0; i < api.service_count(); ++i) {
    for (int j = 0; j < api.service(i)->method_count(); ++j) {
      const std::string& name = api.service(i)->method(j)->name();
      by_method_.try_emplace(name, name, started_.Add({{"method", name}}));
    }
  }
}

prometheus::Family<Histogram>& Metrics::AddHistogram(const std::string& name,
                                                     const std::string& help) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(
      *registry_);
}

prometheus::Family<prometheus::Counter>& Metrics::AddCounter(
    const std::string& name, const std::string& help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(*registry_);
}

Metrics::OfMethod& Metrics::OnCallStarted(absl::string_view method) {
  OfMethod& found = by_method_.find(method)->second;
  found.started.Increment();
  return found;
}

void Metrics::OnCallEnded(const EndedCall& call) {
  std::atomic<Histogram*>& found =
      call.method.durations[static_cast<size_t>(call.code)];
  Histogram* durations = found.load(std::memory_order_acquire);
  if (durations == nullptr) {
    // An equal family member is found, not made twice.
    durations = &durations_.Add({{"method", call.method.name},
                                 {"code", absl::StatusCodeToString(call.code)}},
                                SecondBuckets());
    found.store(durations, std::memory_order_release);
  }
  durations->Observe(call.seconds);
  const absl::string_view reason = RejectReason(call);
  if (!reason.empty()) {
    rejects_.Add({{"reason", std::string(reason)}}).Increment();
  }
  if (call.code == absl::StatusCode::kCancelled ||
      call.code == absl::StatusCode::kDeadlineExceeded) {
    cancellations_.Add({{"where", call.was_computed ? "running" : "queue"}})
        .Increment();
  }
}

// Has what one version counts told of something, under the mutex, so that it is
// not forgotten meanwhile.
template <typename Observe>
void Metrics::OnModel(const LoadedVersion& model, const Observe& observe) {
  const ServedModels::Version key(model.name(), model.version());
  {
    const std::shared_lock<std::shared_mutex> lock(models_mutex_);
    const auto found = by_model_.find(key);
    if (found != by_model_.end()) return observe(found->second);
  }
  const prometheus::Labels labels = {
      {"model", model.name()}, {"version", absl::StrCat(model.version())}};
  const std::lock_guard<std::shared_mutex> lock(models_mutex_);
  const auto [added, ignored] = by_model_.emplace(
      key, OfModel{queue_.Add(labels, SecondBuckets()),
                   compute_.Add(labels, SecondBuckets()),
                   batch_calls_.Add(labels, CountBuckets()),
                   batch_words_.Add(labels, CountBuckets()), words_.Add(labels),
                   first_word_.Add(labels, SecondBuckets()),
                   next_word_.Add(labels, SecondBuckets())});
  observe(added->second);
}

void Metrics::KeepOnly(const ServedModels& served) {
  const auto is_served = [&](const ServedModels::Version& version) {
    const auto model = served.models.find(version.first);
    return model != served.models.end() &&
           model->second.versions.count(version.second) > 0;
  };
  {
    const std::shared_lock<std::shared_mutex> lock(models_mutex_);
    if (std::all_of(by_model_.begin(), by_model_.end(), [&](const auto& entry) {
          return is_served(entry.first);
        })) {
      return;
    }
  }
  const std::lock_guard<std::shared_mutex> lock(models_mutex_);
  for (auto it = by_model_.begin(); it != by_model_.end();) {
    if (is_served(it->first)) {
      ++it;
      continue;
    }
    OfModel& metrics = it->second;
    queue_.Remove(&metrics.queue);
    compute_.Remove(&metrics.compute);
    batch_calls_.Remove(&metrics.batch_calls);
    batch_words_.Remove(&metrics.batch_words);
    words_.Remove(&metrics.words);
    first_word_.Remove(&metrics.first_word);
    next_word_.Remove(&metrics.next_word);
    it = by_model_.erase(it);
  }
}

void Metrics::OnBatch(const BatcherOptions::Batch& batch) {
  OnModel(batch.model, [&](OfModel& metrics) {
    metrics.compute.Observe(batch.seconds);
    if (!batch.queue_seconds.empty()) {
      for (double seconds : batch.queue_seconds) metrics.queue.Observe(seconds);
      metrics.batch_calls.Observe(static_cast<double>(batch.calls));
      metrics.batch_words.Observe(static_cast<double>(batch.words));
    }
    metrics.words.Increment(static_cast<double>(batch.words));
  });
}

void Metrics::OnFirstWord(const LoadedVersion& model, double seconds) {
  OnModel(model,
          [&](OfModel& metrics) { metrics.first_word.Observe(seconds); });
}

void Metrics::OnNextWord(const LoadedVersion& model, double seconds) {
  OnModel(model, [&](OfModel& metrics) { metrics.next_word.Observe(seconds); });
}

}  // namespace lmserve
