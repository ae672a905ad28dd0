// SPDX-License-Identifier: Apache-2.0
#include "server/batching/work_queue.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/call/status.h"

namespace lmserve {
namespace {

// While bulk work waits, one batch in this many is bulk work.
constexpr unsigned kBulkEvery = 8;

// The shortest time that a refused client is asked to wait.
constexpr absl::Duration kMinRetryDelay = absl::Milliseconds(10);

// The weight of the latest batch in the moving average of the speed.
constexpr double kLatestBatchWeight = 0.1;

}  // namespace

// Work that is too long for any queue is let in when the queue is empty.
bool WorkQueue::HasRoom(const PriorityQueue& queue, size_t words) const {
  return queue.words == 0 || queue.words + words <= options_.max_words;
}

bool WorkQueue::HasWork() const {
  return !queues_[0].by_model.empty() || !queues_[1].by_model.empty();
}

void WorkQueue::Push(QueuedWork* work, PriorityQueue* queue) {
  work->queued_at = std::chrono::steady_clock::now();
  queue->by_model[work->model].push_back(work);
}

void WorkQueue::Admit(QueuedWork* work, PriorityQueue* queue) {
  work->call.Admit();
  queue->words += work->words_left;
  Push(work, queue);
}

absl::Status WorkQueue::Full(size_t words, size_t queued) const {
  const absl::Duration until_done =
      absl::Seconds(static_cast<double>(queued) * seconds_per_word_ /
                    static_cast<double>(options_.threads));
  return ResourceExhausted(
      absl::StrCat("the queue is full: ", words, " words requested, ", queued,
                   " of ", options_.max_words, " used by other calls"),
      std::max(kMinRetryDelay, until_done));
}

absl::Status WorkQueue::Add(QueuedWork* work) {
  {
    const MutexLock lock(mutex_);
    PriorityQueue& queue = ByPriority(work->call.priority());
    if (!work->call.is_admitted() && !HasRoom(queue, work->words_left)) {
      if (!work->call.waits_for_room) {
        return Full(work->words_left, queue.words);
      }
      queue.waiting_for_room.push_back(work);
      return absl::OkStatus();
    }
    Admit(work, &queue);
  }
  work_came_.NotifyOne();
  return absl::OkStatus();
}

// REQUIRES: HasWork().
WorkQueue::PriorityQueue& WorkQueue::NextQueue() {
  PriorityQueue& interactive = ByPriority(Priority::kInteractive);
  PriorityQueue& bulk = ByPriority(Priority::kBulk);
  if (bulk.by_model.empty()) return interactive;
  if (!interactive.by_model.empty() && ++batches_since_bulk_ < kBulkEvery) {
    return interactive;
  }
  batches_since_bulk_ = 0;
  return bulk;
}

std::vector<QueuedWork*> WorkQueue::TakeBatch() {
  std::vector<QueuedWork*> batch;
  const MutexLock lock(mutex_);
  while (!stopped_ && !HasWork()) work_came_.Wait(mutex_);
  if (!HasWork()) return batch;
  auto& by_model = NextQueue().by_model;
  const auto oldest = std::min_element(
      by_model.begin(), by_model.end(), [](const auto& a, const auto& b) {
        return a.second.front()->queued_at < b.second.front()->queued_at;
      });
  Fifo& works = oldest->second;
  size_t words = 0;
  do {
    batch.push_back(works.front());
    works.pop_front();
    words += batch.back()->words_left;
  } while (!batch.back()->is_exclusive && !works.empty() &&
           !works.front()->is_exclusive &&
           words + works.front()->words_left <= options_.batch_words);
  if (works.empty()) by_model.erase(oldest);
  return batch;
}

void WorkQueue::FinishBatch(const BatchResult& result,
                            absl::Span<QueuedWork* const> unfinished) {
  const MutexLock lock(mutex_);
  PriorityQueue& queue = ByPriority(result.priority);
  queue.words -= result.words_done + result.words_dropped;
  Fifo& waiting = queue.waiting_for_room;
  while (!waiting.empty() && HasRoom(queue, waiting.front()->words_left)) {
    Admit(waiting.front(), &queue);
    waiting.pop_front();
    work_came_.NotifyOne();
  }
  if (result.words_done > 0) {
    const double seconds_per_word =
        result.seconds / static_cast<double>(result.words_done);
    seconds_per_word_ +=
        kLatestBatchWeight * (seconds_per_word - seconds_per_word_);
  }
  for (QueuedWork* work : unfinished) {
    Push(work, &queue);
    work_came_.NotifyOne();
  }
}

void WorkQueue::Stop() {
  {
    const MutexLock lock(mutex_);
    stopped_ = true;
  }
  work_came_.NotifyAll();
}

size_t WorkQueue::queued_words() const {
  const MutexLock lock(mutex_);
  return queues_[0].words + queues_[1].words;
}

}  // namespace lmserve
