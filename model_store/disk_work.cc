// SPDX-License-Identifier: Apache-2.0
#include "model_store/disk_work.h"

#include <algorithm>
#include <atomic>
#include <deque>
#include <map>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "model_store/background_thread.h"
#include "model_store/mutex.h"

namespace lmserve {
namespace {

using DiskClock = std::chrono::steady_clock;

}  // namespace

struct DiskWork::State : std::enable_shared_from_this<State> {
  struct Numbered {
    uint64_t number;
    Task task;
  };

  // The tasks of a key. It exists while there are any.
  struct Queue {
    std::deque<Numbered> waiting;
    bool is_running = false;      // a task; it is not in `waiting` any more
    DiskClock::time_point since;  // when that began, or the first had to wait

    bool IsStalled(std::chrono::milliseconds patience) const {
      return DiskClock::now() - since > patience;
    }
  };

  // Starts a thread if the rules allow it.
  void StartNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  // Removes the key that has waited longest, and its first task.
  Task TakeNext(std::string* key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  void OnEnded(const std::string& key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex);
  // The loop of a thread.
  void Run(std::string key, Task task);

  std::atomic<bool> has_low_priority = false;
  mutable Mutex mutex;
  ConditionVariable changed;
  std::map<std::string, Queue> queues ABSL_GUARDED_BY(mutex);
  // The keys of queues in which a task waits and none runs.
  std::deque<std::string> ready ABSL_GUARDED_BY(mutex);
  uint64_t last_number ABSL_GUARDED_BY(mutex) = 0;
  int threads ABSL_GUARDED_BY(mutex) = 0;  // with those that hang
  bool is_stopped ABSL_GUARDED_BY(mutex) = false;
};

void DiskWork::State::StartNext() {
  if (is_stopped || ready.empty() || threads >= kMostThreads) return;
  for (const auto& [key, queue] : queues) {
    if (queue.is_running && !queue.IsStalled(kPatience)) return;
  }
  std::string key;
  Task task = TakeNext(&key);
  ++threads;
  try {
    std::thread([state = shared_from_this(), key, task]() mutable {
      if (state->has_low_priority) LowerThreadPriority();
      state->Run(std::move(key), std::move(task));
    }).detach();
  } catch (const std::system_error&) {
    // There are too many threads. The next Tick() tries again.
    --threads;
    Queue& queue = queues[key];
    queue.is_running = false;
    queue.waiting.push_front({0, std::move(task)});
    ready.push_front(key);
  }
}

DiskWork::Task DiskWork::State::TakeNext(std::string* key) {
  *key = std::move(ready.front());
  ready.pop_front();
  Queue& queue = queues[*key];
  Task task = std::move(queue.waiting.front().task);
  queue.waiting.pop_front();
  queue.is_running = true;
  queue.since = DiskClock::now();
  return task;
}

void DiskWork::State::OnEnded(const std::string& key) {
  const auto queue = queues.find(key);
  if (queue->second.waiting.empty()) {
    queues.erase(queue);
    return;
  }
  queue->second.is_running = false;
  queue->second.since = DiskClock::now();
  ready.push_back(key);
}

void DiskWork::State::Run(std::string key, Task task) {
  for (;;) {
    task();
    task = nullptr;  // destroys what the task owns, without the lock
    const MutexLock lock(mutex);
    OnEnded(key);
    if (is_stopped || ready.empty()) break;
    task = TakeNext(&key);
  }
  const MutexLock lock(mutex);
  --threads;
  StartNext();
  changed.NotifyAll();
}

DiskWork::DiskWork() : state_(std::make_shared<State>()) {}

DiskWork::~DiskWork() { Stop(std::chrono::milliseconds(0)); }

uint64_t DiskWork::Post(const std::string& key, Task task) {
  const MutexLock lock(state_->mutex);
  const uint64_t number = ++state_->last_number;
  if (state_->is_stopped) return number;
  State::Queue& queue = state_->queues[key];
  if (queue.waiting.empty() && !queue.is_running) {
    queue.since = DiskClock::now();
    state_->ready.push_back(key);
  }
  queue.waiting.push_back({number, std::move(task)});
  state_->StartNext();
  return number;
}

bool DiskWork::Cancel(const std::string& key, uint64_t number) {
  Task dropped;  // destroyed without the lock
  const MutexLock lock(state_->mutex);
  const auto found = state_->queues.find(key);
  if (found == state_->queues.end()) return false;
  State::Queue& queue = found->second;
  const auto task = std::find_if(
      queue.waiting.begin(), queue.waiting.end(),
      [&](const State::Numbered& other) { return other.number == number; });
  if (task == queue.waiting.end()) return false;
  dropped = std::move(task->task);
  queue.waiting.erase(task);
  if (queue.waiting.empty() && !queue.is_running) {
    std::erase(state_->ready, key);
    state_->queues.erase(found);
  }
  return true;
}

void DiskWork::Tick() {
  const MutexLock lock(state_->mutex);
  state_->StartNext();
}

bool DiskWork::IsBusy() const {
  const MutexLock lock(state_->mutex);
  return !state_->queues.empty();
}

bool DiskWork::IsStalled(std::chrono::milliseconds patience) const {
  const MutexLock lock(state_->mutex);
  if (state_->queues.empty()) return false;
  for (const auto& [key, queue] : state_->queues) {
    if (!queue.IsStalled(patience)) return false;
  }
  return true;
}

bool DiskWork::IsStalled(const std::string& key,
                         std::chrono::milliseconds patience) const {
  const MutexLock lock(state_->mutex);
  const auto found = state_->queues.find(key);
  if (found == state_->queues.end()) return false;
  const State::Queue& queue = found->second;
  return queue.IsStalled(patience) &&
         (queue.is_running || state_->threads >= kMostThreads);
}

void DiskWork::LowerPriority() { state_->has_low_priority = true; }

bool DiskWork::Stop(std::chrono::milliseconds patience) {
  std::vector<std::deque<State::Numbered>> dropped;  // destroyed without lock
  const MutexLock lock(state_->mutex);
  state_->is_stopped = true;
  state_->ready.clear();
  for (auto& [key, queue] : state_->queues) {
    dropped.push_back(std::exchange(queue.waiting, {}));
  }
  std::erase_if(state_->queues,
                [](const auto& entry) { return !entry.second.is_running; });
  const auto end = DiskClock::now() + patience;
  while (state_->threads > 0 && state_->changed.WaitUntil(state_->mutex, end)) {
  }
  return state_->threads == 0;
}

}  // namespace lmserve
