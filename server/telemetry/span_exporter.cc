// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/span_exporter.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <iterator>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "model_store/background_thread.h"
#include "models/printable_text.h"

namespace lmserve {
namespace {

// The errors after which the OTLP specification asks clients to try again.
bool MayBeSentAgain(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kOutOfRange:
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDataLoss:
      return true;
    default:
      return false;
  }
}

}  // namespace

SpanExporter::SpanExporter(std::unique_ptr<SpanSender> sender,
                           const SpanExporterOptions& options)
    : options_(options),
      sender_(std::move(sender)),
      thread_([this] { Run(); }) {}

SpanExporter::~SpanExporter() { Stop(std::chrono::milliseconds(0)); }

void SpanExporter::Add(std::vector<Span> spans) {
  bool is_due = false;
  {
    const MutexLock lock(mutex_);
    if (is_stopping_ || queue_.size() + spans.size() > options_.queued_spans) {
      counts_.dropped_full += spans.size();
      return;
    }
    const size_t before = queue_.size();
    std::move(spans.begin(), spans.end(), std::back_inserter(queue_));
    // The thread waits for the first span, and then for a full batch.
    is_due = before == 0 || (before < options_.batch_spans &&
                             queue_.size() >= options_.batch_spans);
  }
  if (is_due) changed_.NotifyAll();
}

SpanExporter::Counts SpanExporter::counts() const {
  const MutexLock lock(mutex_);
  return counts_;
}

void SpanExporter::Stop(std::chrono::milliseconds patience) {
  if (!thread_.joinable()) return;
  const auto end = std::chrono::steady_clock::now() + patience;
  {
    const MutexLock lock(mutex_);
    is_stopping_ = true;
    changed_.NotifyAll();
    while (!has_ended_ && changed_.WaitUntil(mutex_, end)) {
    }
  }
  sender_->Cancel();
  thread_.join();
}

void SpanExporter::Run() {
  LowerThreadPriority();
  for (;;) {
    const std::vector<Span> batch = TakeBatch();
    if (batch.empty()) break;
    Export(batch);
  }
  const MutexLock lock(mutex_);
  has_ended_ = true;
  changed_.NotifyAll();
}

// Returns an empty batch after Stop() if nothing is left.
std::vector<Span> SpanExporter::TakeBatch() {
  const MutexLock lock(mutex_);
  while (queue_.empty() && !is_stopping_) changed_.Wait(mutex_);
  const auto end = std::chrono::steady_clock::now() + options_.linger;
  while (queue_.size() < options_.batch_spans && !is_stopping_ &&
         changed_.WaitUntil(mutex_, end)) {
  }
  const auto last = queue_.begin() + static_cast<std::ptrdiff_t>(std::min(
                                         queue_.size(), options_.batch_spans));
  std::vector<Span> batch(std::make_move_iterator(queue_.begin()),
                          std::make_move_iterator(last));
  queue_.erase(queue_.begin(), last);
  return batch;
}

bool SpanExporter::PauseBeforeRetry(std::chrono::milliseconds pause) {
  const auto end = std::chrono::steady_clock::now() + pause;
  const MutexLock lock(mutex_);
  while (!is_stopping_ && changed_.WaitUntil(mutex_, end)) {
  }
  return !is_stopping_;
}

void SpanExporter::Export(const std::vector<Span>& batch) {
  absl::StatusOr<uint64_t> rejected;
  auto pause = options_.retry_pause;
  for (int left = options_.tries; left > 0; --left) {
    rejected = sender_->Send(batch, options_.send_timeout);
    if (rejected.ok() || !MayBeSentAgain(rejected.status())) break;
    if (left == 1 || !PauseBeforeRetry(pause)) break;
    pause *= 2;
  }
  if (rejected.ok() == fails_) {
    fails_ = !rejected.ok();
    if (fails_) {
      spdlog::warn(
          "traces: the collector does not take spans, which are "
          "dropped: {}",
          Printable(rejected.status().message(), 200));
    } else {
      spdlog::info("traces: the collector takes spans again");
    }
  }
  const MutexLock lock(mutex_);
  if (!rejected.ok()) {
    counts_.dropped_unsent += batch.size();
    return;
  }
  const uint64_t refused = std::min<uint64_t>(*rejected, batch.size());
  counts_.dropped_rejected += refused;
  counts_.exported += batch.size() - refused;
}

}  // namespace lmserve
