// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODEL_STORE_BACKGROUND_THREAD_H_
#define LMSERVE_MODEL_STORE_BACKGROUND_THREAD_H_

#include <chrono>
#include <deque>
#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "model_store/mutex.h"

namespace lmserve {

// A thread that runs tasks one at a time, in the order in which they were
// posted, and optionally one task periodically. It has the lowest scheduling
// priority, so that its work does not slow down the threads that answer
// requests. Thread-safe, except for Stop() and the destructor.
class BackgroundThread {
 public:
  using Task = std::function<void()>;

  BackgroundThread();
  ~BackgroundThread();  // calls Stop()

  // Queues a task. Returns false and drops the task if the thread was stopped.
  // Tasks may post tasks.
  bool Post(Task task);

  // Runs a task periodically: `pause` after this call, and then `pause` after
  // the end of its previous run. Tasks that were posted go first. May be called
  // at most once.
  void RepeatEvery(std::chrono::milliseconds pause, Task task);

  // Runs all tasks that were posted, then ends the thread. Must not be called
  // from a task.
  void Stop();

 private:
  void Run();

  // Removes the next posted task and returns it. Waits until a task is posted,
  // the periodic task is due (returns null) or the thread is stopped and has no
  // more tasks (also returns null).
  Task WaitForPosted() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;
  ConditionVariable changed_;
  std::deque<Task> tasks_ ABSL_GUARDED_BY(mutex_);
  Task repeated_ ABSL_GUARDED_BY(mutex_);  // null if there is no periodic task
  std::chrono::milliseconds pause_ ABSL_GUARDED_BY(mutex_);
  std::chrono::steady_clock::time_point due_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_BACKGROUND_THREAD_H_
