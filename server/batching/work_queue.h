// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_BATCHING_WORK_QUEUE_H_
#define LMSERVE_SERVER_BATCHING_WORK_QUEUE_H_

#include <array>
#include <chrono>
#include <cstddef>
#include <deque>
#include <map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "model_store/mutex.h"
#include "server/call/call.h"

namespace lmserve {

// A piece of work in a WorkQueue. Its cost is counted in words.
struct QueuedWork {
  Call& call;
  // Only work for the same model can share a batch. The queue compares the
  // address and nothing more.
  const void* model;
  bool is_exclusive;  // gets a batch of its own
  size_t words_left;
  std::chrono::steady_clock::time_point queued_at = {};  // set by the queue
};

struct WorkQueueOptions {
  size_t max_words;    // that may wait, for each priority
  size_t batch_words;  // that a batch has at most
  size_t threads;      // that take batches
};

// The work of all calls that waits for a thread, by priority and model.
//
// Interactive work is taken before bulk work, but while bulk work waits every
// eighth batch is bulk work. Within a priority the model whose work has waited
// longest is next.
//
// If the queue is full it refuses work, unless the call waits for room
// (Call::waits_for_room) or was admitted before (Call::is_admitted). Each
// priority has room of its own: bulk work takes no room from interactive work.
//
// Any number of threads may use it. It does not own the work, which must
// outlive its stay in the queue.
class WorkQueue {
 public:
  explicit WorkQueue(const WorkQueueOptions& options) : options_(options) {}

  // Adds work to the queue or, for a call that waits for room, to those that
  // wait for it. From then on another thread may finish the work at any moment.
  // Fails with RESOURCE_EXHAUSTED and a RetryInfo, and does not add it, if the
  // queue is full.
  absl::Status Add(QueuedWork* work);

  // Waits for work and takes a batch: work for one model, of one priority, of
  // at most `batch_words` words unless the first piece alone is longer. Returns
  // an empty batch if the queue is stopped and has no work.
  std::vector<QueuedWork*> TakeBatch();

  // What a thread did with a batch.
  struct BatchResult {
    Priority priority;
    size_t words_done = 0;
    double seconds = 0;        // that words_done took
    size_t words_dropped = 0;  // of work that nobody waits for any more
  };

  // Must follow each TakeBatch(): frees the room of the words that are done or
  // dropped, and puts the unfinished pieces of the batch back into the queue.
  void FinishBatch(const BatchResult& result,
                   absl::Span<QueuedWork* const> unfinished);

  // Lets TakeBatch() return without waiting for more work.
  void Stop();

  // Words of both priorities that wait or are in a batch now.
  size_t queued_words() const;

 private:
  using Fifo = std::deque<QueuedWork*>;

  struct PriorityQueue {
    std::map<const void*, Fifo> by_model;  // without empty ones
    size_t words = 0;                      // in by_model and in batches
    Fifo waiting_for_room;
  };

  PriorityQueue& ByPriority(Priority priority)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return queues_[static_cast<size_t>(priority)];
  }
  bool HasRoom(const PriorityQueue& queue, size_t words) const;
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  PriorityQueue& NextQueue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Admit(QueuedWork* work, PriorityQueue* queue)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Full(size_t words, size_t queued) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static void Push(QueuedWork* work, PriorityQueue* queue);

  const WorkQueueOptions options_;
  mutable Mutex mutex_;
  ConditionVariable work_came_;
  std::array<PriorityQueue, 2> queues_ ABSL_GUARDED_BY(mutex_);
  double seconds_per_word_ ABSL_GUARDED_BY(mutex_) = 0;  // a moving average
  unsigned batches_since_bulk_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_BATCHING_WORK_QUEUE_H_
