// SPDX-License-Identifier: Apache-2.0
#include "model_store/background_thread.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "model_store/mutex.h"

namespace lmserve {
namespace {

using Clock = std::chrono::steady_clock;

}  // namespace

// On Linux each thread has a nice value of its own, and setpriority() accepts a
// thread id as a process id.
void LowerThreadPriority() {
  setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), 19);
}

// What the thread and its owner share.
struct BackgroundThread::State {
  void Run();
  // Removes the next task that is due and returns it; null if the thread must
  // end. Waits until there is such a task.
  Task Next(bool* is_repeated) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);

  Mutex mutex;
  ConditionVariable changed;
  std::deque<Task> tasks ABSL_GUARDED_BY(mutex);
  std::multimap<Clock::time_point, Task> delayed ABSL_GUARDED_BY(mutex);
  Task repeated ABSL_GUARDED_BY(mutex);  // null if there is no periodic task
  std::chrono::milliseconds pause ABSL_GUARDED_BY(mutex);
  Clock::time_point due ABSL_GUARDED_BY(mutex);  // of the periodic task
  bool stopped ABSL_GUARDED_BY(mutex) = false;
  bool ended ABSL_GUARDED_BY(mutex) = false;
};

BackgroundThread::BackgroundThread(Priority priority)
    : state_(std::make_shared<State>()), thread_([state = state_, priority] {
        if (priority == Priority::kLowest) LowerThreadPriority();
        state->Run();
      }) {}

BackgroundThread::~BackgroundThread() { Stop(); }

bool BackgroundThread::Post(Task task) {
  const MutexLock lock(state_->mutex);
  if (state_->stopped) return false;
  state_->tasks.push_back(std::move(task));
  state_->changed.NotifyAll();
  return true;
}

bool BackgroundThread::PostAfter(std::chrono::milliseconds delay, Task task) {
  const MutexLock lock(state_->mutex);
  if (state_->stopped) return false;
  state_->delayed.emplace(Clock::now() + delay, std::move(task));
  state_->changed.NotifyAll();
  return true;
}

void BackgroundThread::RepeatEvery(std::chrono::milliseconds pause, Task task) {
  const MutexLock lock(state_->mutex);
  state_->repeated = std::move(task);
  state_->pause = pause;
  state_->due = Clock::now() + pause;
  state_->changed.NotifyAll();
}

bool BackgroundThread::Stop(std::chrono::milliseconds patience) {
  if (!thread_.joinable()) {
    const MutexLock lock(state_->mutex);
    return state_->ended;
  }
  bool ended;
  std::multimap<Clock::time_point, Task> dropped;
  {
    const MutexLock lock(state_->mutex);
    state_->stopped = true;
    state_->delayed.swap(dropped);
    state_->changed.NotifyAll();
    const Clock::time_point end = Clock::now() + patience;
    while (!state_->ended && state_->changed.WaitUntil(state_->mutex, end)) {
    }
    ended = state_->ended;
  }
  if (ended) {
    thread_.join();
  } else {
    thread_.detach();
  }
  return ended;
}

BackgroundThread::Task BackgroundThread::State::Next(bool* is_repeated) {
  *is_repeated = false;
  for (;;) {
    const Clock::time_point now = Clock::now();
    Task task;
    if (!tasks.empty()) {
      task = std::move(tasks.front());
      tasks.pop_front();
      return task;
    }
    if (stopped) return nullptr;
    if (!delayed.empty() && delayed.begin()->first <= now) {
      task = std::move(delayed.begin()->second);
      delayed.erase(delayed.begin());
      return task;
    }
    if (repeated != nullptr && due <= now) {
      *is_repeated = true;
      return repeated;
    }
    if (delayed.empty() && repeated == nullptr) {
      changed.Wait(mutex);
    } else if (delayed.empty()) {
      changed.WaitUntil(mutex, due);
    } else if (repeated == nullptr) {
      changed.WaitUntil(mutex, delayed.begin()->first);
    } else {
      changed.WaitUntil(mutex, std::min(due, delayed.begin()->first));
    }
  }
}

void BackgroundThread::State::Run() {
  for (;;) {
    Task task;
    bool is_repeated;
    {
      const MutexLock lock(mutex);
      task = Next(&is_repeated);
    }
    if (task == nullptr) break;
    task();
    task = nullptr;  // destroys what the task owns before the next wait
    if (!is_repeated) continue;
    const MutexLock lock(mutex);
    due = Clock::now() + pause;
  }
  const MutexLock lock(mutex);
  repeated = nullptr;
  ended = true;
  changed.NotifyAll();
}

}  // namespace lmserve
