// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_SERVER_TELEMETRY_FAKE_SPAN_SENDER_H_
#define LMSERVE_TESTS_SERVER_TELEMETRY_FAKE_SPAN_SENDER_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "model_store/mutex.h"
#include "server/telemetry/span_exporter.h"

namespace lmserve {

// What a FakeSpanSender shares with its test, which outlives it. Thread-safe.
class SentSpans {
 public:
  using Answer = std::function<absl::StatusOr<uint64_t>(size_t spans)>;

  // Sets what Send() returns; all spans are accepted at first.
  void SetAnswer(Answer answer) {
    const MutexLock lock(mutex_);
    answer_ = std::move(answer);
  }

  // Lets Send() wait until Release() or Cancel().
  void Hold() {
    const MutexLock lock(mutex_);
    is_held_ = true;
  }
  void Release() {
    const MutexLock lock(mutex_);
    is_held_ = false;
    changed_.NotifyAll();
  }
  void Cancel() {
    const MutexLock lock(mutex_);
    is_cancelled_ = true;
    changed_.NotifyAll();
  }

  absl::StatusOr<uint64_t> Send(const std::vector<Span>& spans) {
    const MutexLock lock(mutex_);
    ++sends_;
    changed_.NotifyAll();
    while (is_held_ && !is_cancelled_) changed_.Wait(mutex_);
    if (is_cancelled_) return absl::CancelledError("cancelled");
    absl::StatusOr<uint64_t> answer = 0;
    if (answer_) answer = answer_(spans.size());
    if (answer.ok()) {
      batches_.push_back(spans);
      changed_.NotifyAll();
    }
    return answer;
  }

  void WaitForSends(int count) {
    const MutexLock lock(mutex_);
    while (sends_ < count) changed_.Wait(mutex_);
  }

  // Waits until this many batches were accepted, and returns all of them.
  std::vector<std::vector<Span>> WaitForBatches(size_t count) {
    const MutexLock lock(mutex_);
    while (batches_.size() < count) changed_.Wait(mutex_);
    return batches_;
  }

  int sends() const {
    const MutexLock lock(mutex_);
    return sends_;
  }

 private:
  mutable Mutex mutex_;
  ConditionVariable changed_;
  Answer answer_ ABSL_GUARDED_BY(mutex_);
  bool is_held_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  int sends_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::vector<Span>> batches_ ABSL_GUARDED_BY(mutex_);
};

class FakeSpanSender final : public SpanSender {
 public:
  explicit FakeSpanSender(SentSpans& sent) : sent_(sent) {}

  absl::StatusOr<uint64_t> Send(const std::vector<Span>& spans,
                                std::chrono::milliseconds) override {
    return sent_.Send(spans);
  }
  void Cancel() override { sent_.Cancel(); }

 private:
  SentSpans& sent_;
};

}  // namespace lmserve

#endif  // LMSERVE_TESTS_SERVER_TELEMETRY_FAKE_SPAN_SENDER_H_
