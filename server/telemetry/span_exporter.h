// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_TELEMETRY_SPAN_EXPORTER_H_
#define LMSERVE_SERVER_TELEMETRY_SPAN_EXPORTER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "model_store/mutex.h"
#include "server/telemetry/span.h"

namespace lmserve {

// The way to a collector of spans.
class SpanSender {
 public:
  virtual ~SpanSender() = default;

  // Sends spans, and waits at most `timeout` for the answer of the collector.
  // Returns how many of them the collector has not accepted. For one thread at
  // a time.
  virtual absl::StatusOr<uint64_t> Send(const std::vector<Span>& spans,
                                        std::chrono::milliseconds timeout) = 0;

  // Ends a Send() that is running, and all later ones, with CANCELLED.
  // Thread-safe.
  virtual void Cancel() = 0;
};

struct SpanExporterOptions {
  size_t queued_spans = 8192;  // that wait at most; some 5 MB
  size_t batch_spans = 512;    // that are sent at once at most
  // How long the first span of a batch may wait for others.
  std::chrono::milliseconds linger{1'000};
  std::chrono::milliseconds send_timeout{10'000};
  // How often a batch is sent before it is dropped, if the errors are such that
  // it may succeed later, and the pause before the second time. The pause
  // doubles each time.
  int tries = 4;
  std::chrono::milliseconds retry_pause{1'000};
};

// Sends spans to a collector, on a thread of its own: those who add them never
// wait for the collector. Spans that find the queue full, or that cannot be
// sent, are dropped and counted. Thread-safe, except for Stop().
class SpanExporter {
 public:
  struct Counts {
    uint64_t exported = 0;
    uint64_t dropped_full = 0;    // the queue was full, or the exporter stopped
    uint64_t dropped_unsent = 0;  // the collector could not be reached
    uint64_t dropped_rejected = 0;  // the collector did not accept them
  };

  explicit SpanExporter(std::unique_ptr<SpanSender> sender,
                        const SpanExporterOptions& options = {});
  ~SpanExporter();  // calls Stop() without patience

  // Queues the spans of a call, all of them or, if they do not fit, none.
  void Add(std::vector<Span> spans);

  Counts counts() const;

  // Sends what is queued, but not for longer than `patience`, and drops the
  // rest and what is added later.
  void Stop(std::chrono::milliseconds patience);

 private:
  // On the thread of the exporter.
  void Run();
  std::vector<Span> TakeBatch();
  void Export(const std::vector<Span>& batch);
  // Waits before another try. Returns false if there must be none.
  bool PauseBeforeRetry(std::chrono::milliseconds pause);

  const SpanExporterOptions options_;
  const std::unique_ptr<SpanSender> sender_;
  mutable Mutex mutex_;
  ConditionVariable changed_;
  std::deque<Span> queue_ ABSL_GUARDED_BY(mutex_);
  Counts counts_ ABSL_GUARDED_BY(mutex_);
  bool is_stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool has_ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool fails_ = false;  // as the log says; only the thread uses it
  std::thread thread_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_TELEMETRY_SPAN_EXPORTER_H_
