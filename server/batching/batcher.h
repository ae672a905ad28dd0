// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_BATCHING_BATCHER_H_
#define LMSERVE_SERVER_BATCHING_BATCHER_H_

#include <coroutine>
#include <cstddef>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "model_store/loaded_version.h"
#include "server/batching/batch_operation.h"
#include "server/batching/work_queue.h"
#include "server/call/call.h"

namespace lmserve {

struct BatcherOptions {
  size_t threads = 0;  // 0: AvailableProcessors()
  // The most words in a batch: what a cancelled or an urgent call waits for at
  // most. A state after which words are wanted counts as one word. If a look-up
  // model scans its vocabulary for it, it counts as more (about as many words
  // as take the same time).
  size_t batch_words = 1024;
  // The most words that a look-up model does on the caller's thread.
  size_t inline_words = 4096;
  // The most words of one priority that wait for one client. More work is
  // refused. All clients together may have about twice as many.
  size_t queue_words = 1'000'000;

  // A batch that was run.
  struct Batch {
    const LoadedVersion& model;
    size_t calls;
    size_t words;
    double seconds;
    // How long each call waited. Empty for work on the caller's thread, which
    // does not wait.
    absl::Span<const double> queue_seconds;
  };
  // Called after each batch, on any thread.
  std::function<void(const Batch&)> on_batch = nullptr;
};

// Combines the work of all calls on a model, so that it is done in as few and
// as large matrix products as possible. A process has one.
//
// It never waits for a batch to fill. An idle thread takes the oldest work
// together with all other work for the same model that has queued up meanwhile
// and fits into a batch; what queues up during one batch is the next one. Work
// that does not fit into a batch continues in a later one, after other calls
// have had their turn. Work whose caller is gone is dropped before it starts.
// WorkQueue describes priorities and what happens if the queue is full.
//
// Work of look-up models (LanguageModel::is_lookup) does not get faster in a
// batch. It is done at once on the caller's thread, unless it is long: after a
// millisecond the rest is queued like other work, and so is the next work of a
// request whose works have taken that long together, and all work of a client
// for a model while such work of that client waits: otherwise many calls of a
// client could keep the threads of the callers from other clients. A thread of
// the batcher, too, turns to other work after that time.
//
// No answer depends on the other work in its batch. Any number of threads may
// use a batcher; it must outlive the calls.
class Batcher {
 public:
  explicit Batcher(BatcherOptions options);

  // Finishes all queued work first.
  ~Batcher();

  class Turn;

  // co_await it: returns OK when the work is done. Fails with CANCELLED or
  // DEADLINE_EXCEEDED if nobody waits for the call any more, or with
  // RESOURCE_EXHAUSTED and a RetryInfo if the queue is full. `call` and what
  // `work` refers to must last until it returns.
  Turn Run(Call& call, const ModelWork& work);

  // The same for other work, which costs about as much as `words` words of the
  // model. It has a batch of its own.
  Turn Run(Call& call, const LoadedVersion& model, size_t words,
           absl::FunctionRef<void()> work);

  // Words that are waiting or in a batch now, of both priorities.
  size_t queued_words() const { return queue_.queued_words(); }

  // The most words in a batch.
  size_t batch_words() const { return options_.batch_words; }

 private:
  // On the caller's thread.
  bool IsInline(const BatchOperation& operation) const;
  bool RunInline(BatchOperation* operation);
  bool Enqueue(BatchOperation* operation);

  // On a thread of the batcher.
  void RunBatches();
  double RunQueued(absl::Span<BatchOperation* const> batch) const;

  const BatcherOptions options_;
  WorkQueue queue_;
  std::vector<std::thread> threads_;
};

// What Run() returns, to be awaited at once.
class [[nodiscard]] Batcher::Turn {
 public:
  bool await_ready() {
    if (!batcher_.IsInline(operation_)) return false;
    return batcher_.RunInline(&operation_);
  }
  bool await_suspend(std::coroutine_handle<> waiter) {
    operation_.waiter = waiter;
    return batcher_.Enqueue(&operation_);
  }
  absl::Status await_resume() { return std::move(operation_.status); }

 private:
  friend class Batcher;

  template <typename... Work>
  explicit Turn(Batcher& batcher, Call& call, const Work&... work)
      : batcher_(batcher), operation_(call, work...) {}

  Batcher& batcher_;
  BatchOperation operation_;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_BATCHING_BATCHER_H_
