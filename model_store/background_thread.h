// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODEL_STORE_BACKGROUND_THREAD_H_
#define LMSERVE_MODEL_STORE_BACKGROUND_THREAD_H_

#include <chrono>
#include <functional>
#include <memory>
#include <thread>

namespace lmserve {

// A thread that runs tasks one at a time, in the order in which they were
// posted, and optionally one task periodically. It has the lowest scheduling
// priority, so that its work does not slow down the threads that answer
// requests. Thread-safe, except for Stop() and the destructor.
class BackgroundThread {
 public:
  using Task = std::function<void()>;

  static constexpr std::chrono::milliseconds kForever =
      std::chrono::hours(24 * 365);

  enum class Priority { kLowest, kNormal };

  // With kNormal, the thread has the priority of its creator until a task calls
  // LowerThreadPriority().
  explicit BackgroundThread(Priority priority = Priority::kLowest);
  ~BackgroundThread();  // calls Stop()

  // Queues a task. Returns false and drops the task if the thread was stopped.
  // Tasks may post tasks.
  bool Post(Task task);

  // The same, but the task is not run before `delay` has passed, and is dropped
  // if the thread is stopped before.
  bool PostAfter(std::chrono::milliseconds delay, Task task);

  // Runs a task periodically: `pause` after this call, and then `pause` after
  // the end of its previous run. Tasks that were posted go first. May be called
  // at most once.
  void RepeatEvery(std::chrono::milliseconds pause, Task task);

  // Runs all tasks that were posted without delay, then ends the thread. Waits
  // at most `patience` for that: a task may hang in a system call on a broken
  // file system. Returns whether the thread has ended. If it has not, it is
  // abandoned, and its tasks must own everything that they use. Must not be
  // called from a task.
  bool Stop(std::chrono::milliseconds patience = kForever);

 private:
  struct State;

  const std::shared_ptr<State> state_;  // shared with the thread
  std::thread thread_;
};

// Gives the calling thread the lowest scheduling priority.
void LowerThreadPriority();

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_BACKGROUND_THREAD_H_
