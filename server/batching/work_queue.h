// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_BATCHING_WORK_QUEUE_H_
#define LMSERVE_SERVER_BATCHING_WORK_QUEUE_H_

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <string>
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
  bool is_dropped = false;  // nobody waits for it any more

  // The queue sets these.
  std::chrono::steady_clock::time_point queued_at = {};
  size_t queued_words = 0;  // words_left when it was queued
};

struct WorkQueueOptions {
  // That may wait for one client, for each priority. All clients together may
  // have about twice as many: see WorkQueue.
  size_t max_words;
  size_t batch_words;  // that a batch has at most
  size_t threads;      // that take batches
};

// The work of all calls that waits for a thread, by priority, client and model.
//
// Interactive work is taken before bulk work, but while bulk work waits every
// eighth batch is bulk work. Within a priority the clients
// (Call::client_group) take turns: next is the one for which the fewest words
// were taken since it began to wait, however much waits for the others. Of its
// models, the one whose work has waited longest is next. So a client waits for
// the batches that are being computed and for one batch of each other client,
// and a client that is alone gets all.
//
// If the queue is full for a client, it refuses its work, unless the call waits
// for room (Call::waits_for_room) or was admitted before (Call::is_admitted).
// A client that is alone may have `max_words`. Each two words of others take
// the room of one word from it, down to a sixteenth, so that no client takes
// the room of all. Each priority has room of its own: bulk work takes no room
// from interactive work.
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

  // Must follow each TakeBatch(), with the same batch: frees the room of the
  // words that are done or dropped, and puts the work that has words left back
  // into the queue. `seconds` is how long a thread has worked on it.
  void FinishBatch(absl::Span<QueuedWork* const> batch, double seconds);

  // Whether work of the call's client, of its priority and for this model,
  // waits for a thread. Costs nearly nothing while no work waits at all.
  bool IsWaiting(const Call& call, const void* model) const;

  // Lets TakeBatch() return without waiting for more work.
  void Stop();

  // Words of both priorities that wait or are in a batch now.
  size_t queued_words() const;

 private:
  using Fifo = std::deque<QueuedWork*>;

  // A client that has work here, in a batch, or that waits for room.
  struct Client {
    std::map<const void*, Fifo> by_model;  // without empty ones
    Fifo waiting_for_room;
    size_t works = 0;  // in by_model and in batches
    size_t words = 0;  // of these
    // The words that were taken for the client, counted from those of the
    // clients among which it began to wait.
    uint64_t turn = 0;
    uint64_t number = 0;  // how many clients came before; orders equal turns
  };

  struct ByTurn {
    bool operator()(const Client* a, const Client* b) const {
      return a->turn != b->turn ? a->turn < b->turn : a->number < b->number;
    }
  };

  struct PriorityQueue {
    std::map<std::string, Client> clients;
    // The clients for which work waits in by_model.
    std::set<Client*, ByTurn> waiting;
    size_t words = 0;             // of all clients
    size_t waiting_for_room = 0;  // pieces of work
    uint64_t turn = 0;            // the highest of a client that was taken
  };

  PriorityQueue& ByPriority(Priority priority)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return queues_[static_cast<size_t>(priority)];
  }
  const PriorityQueue& ByPriority(Priority priority) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return queues_[static_cast<size_t>(priority)];
  }
  // How many words a client may have.
  size_t LimitOf(const PriorityQueue& queue, const Client& client) const;
  bool HasRoom(const PriorityQueue& queue, const Client& client,
               size_t words) const;
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  PriorityQueue& NextQueue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Client& ClientOf(const std::string& name, PriorityQueue* queue)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Admit(QueuedWork* work, Client* client, PriorityQueue* queue)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Full(size_t words, const Client& client,
                    const PriorityQueue& queue) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Push(QueuedWork* work, Client* client, PriorityQueue* queue);
  // Takes the oldest work of a client for a model.
  QueuedWork* Take(const void* model, Client* client, PriorityQueue* queue);
  // Forgets a client that has nothing here.
  static void ForgetIdle(const std::string& name, PriorityQueue* queue);
  void AdmitWaiting(PriorityQueue* queue) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const WorkQueueOptions options_;
  mutable Mutex mutex_;
  ConditionVariable work_came_;
  std::array<PriorityQueue, 2> queues_ ABSL_GUARDED_BY(mutex_);
  double seconds_per_word_ ABSL_GUARDED_BY(mutex_) = 0;  // a moving average
  unsigned batches_since_bulk_ ABSL_GUARDED_BY(mutex_) = 0;
  std::atomic<size_t> waiting_ = 0;  // pieces of work in all by_model
  uint64_t clients_seen_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_BATCHING_WORK_QUEUE_H_
