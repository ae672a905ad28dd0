// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/metrics.h"

#include <google/protobuf/descriptor.h>

#include "absl/strings/str_cat.h"
#include "lm/v1/language_model.pb.h"

namespace lmserve {
namespace {

using prometheus::Histogram;

// The buckets of gRPC's own metrics (gRPC proposal A66) up to 100 seconds.
Histogram::BucketBoundaries SecondBuckets() {
  return {10e-6, 50e-6, 100e-6, 300e-6, 600e-6, 1e-3,   2e-3,
          5e-3,  10e-3, 20e-3,  50e-3,  100e-3, 200e-3, 500e-3,
          1,     2,     5,      10,     20,     50,     100};
}

Histogram::BucketBoundaries CountBuckets() {
  return {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384};
}

// Returns why the server refused a call, or an empty string if it did not.
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
                          "Calls that have started, by method")),
      durations_(AddHistogram("grpc_server_call_duration_seconds",
                              "Duration of calls, by method and status code")),
      rejects_(AddCounter("lm_rejected_total", "Refused calls, by reason")),
      cancellations_(AddCounter("lm_cancelled_total",
                                "Calls that were cancelled or passed their "
                                "deadline, by where they were: in the queue, "
                                "or running on a model")),
      queue_(AddHistogram("lm_queue_seconds",
                          "Time that work waited for its batch")),
      compute_(AddHistogram("lm_compute_seconds", "Compute time of batches")),
      batch_calls_(AddHistogram("lm_batch_calls", "Calls per batch")),
      batch_words_(AddHistogram("lm_batch_words", "Words per batch")),
      words_(AddCounter("lm_words_total", "Words that models have read")),
      first_word_(AddHistogram("lm_first_word_seconds",
                               "Time from the start of a Generate call to its "
                               "first word")),
      next_word_(AddHistogram("lm_next_word_seconds",
                              "Time from one word of a Generate call to the "
                              "next")) {
  prometheus::BuildGauge()
      .Name("lm_build_info")
      .Help("Version of the server; the value is always 1")
      .Register(*registry_)
      .Add({{"version", std::string(server_version)}})
      .Set(1);
  const google::protobuf::FileDescriptor& api =
      *lm::v1::ScoreRequest::descriptor()->file();
  const auto add_method = [this](const std::string& name,
                                 const std::string& path) {
    by_method_.try_emplace(name, name, path, started_.Add({{"method", name}}));
  };
  for (int i = 0; i < api.service_count(); ++i) {
    for (int j = 0; j < api.service(i)->method_count(); ++j) {
      const std::string& name = api.service(i)->method(j)->name();
      add_method(name, absl::StrCat(api.service(i)->full_name(), "/", name));
    }
  }
  // Of OpenAI's API.
  for (const char* name : {"Completions", "Embeddings", "Tokenize",
                           "Detokenize", "GetTokenizer"}) {
    add_method(name, name);
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

Metrics::MethodMetrics& Metrics::OnCallStarted(absl::string_view method) {
  MethodMetrics& found = by_method_.find(method)->second;
  found.started.Increment();
  return found;
}

void Metrics::OnCallEnded(const EndedCall& call) {
  std::atomic<Histogram*>& found =
      call.method.durations[static_cast<size_t>(call.code)];
  Histogram* durations = found.load(std::memory_order_acquire);
  if (durations == nullptr) {
    // Another thread may do the same: Add() returns the same histogram.
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

template <typename Observe>
void Metrics::ForModel(const LoadedVersion& model, const Observe& observe) {
  const ServedModels::Version key(model.name(), model.version());
  {
    const ReaderMutexLock lock(models_mutex_);
    const auto found = by_model_.find(key);
    if (found != by_model_.end()) return observe(found->second);
  }
  const prometheus::Labels labels = {
      {"model", model.name()}, {"version", absl::StrCat(model.version())}};
  const WriterMutexLock lock(models_mutex_);
  const auto [added, ignored] = by_model_.emplace(
      key,
      ModelMetrics{queue_.Add(labels, SecondBuckets()),
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
    // Most changes of the store do not remove a version. Then the batches that
    // are being counted must not wait.
    const ReaderMutexLock lock(models_mutex_);
    bool all_served = true;
    for (const auto& entry : by_model_) all_served &= is_served(entry.first);
    if (all_served) return;
  }
  const WriterMutexLock lock(models_mutex_);
  for (auto it = by_model_.begin(); it != by_model_.end();) {
    if (is_served(it->first)) {
      ++it;
      continue;
    }
    ModelMetrics& metrics = it->second;
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
  ForModel(batch.model, [&](ModelMetrics& metrics) {
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
  ForModel(model,
           [&](ModelMetrics& metrics) { metrics.first_word.Observe(seconds); });
}

void Metrics::OnNextWord(const LoadedVersion& model, double seconds) {
  ForModel(model,
           [&](ModelMetrics& metrics) { metrics.next_word.Observe(seconds); });
}

}  // namespace lmserve
