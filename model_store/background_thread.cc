// SPDX-License-Identifier: Apache-2.0
#include "model_store/background_thread.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <utility>

namespace lmserve {
namespace {

using Clock = std::chrono::steady_clock;

// On Linux each thread has a nice value of its own, and setpriority() accepts a
// thread id as a process id.
void LowerPriority() {
  setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), 19);
}

}  // namespace

BackgroundThread::BackgroundThread() : thread_([this] { Run(); }) {}

BackgroundThread::~BackgroundThread() { Stop(); }

bool BackgroundThread::Post(Task task) {
  const MutexLock lock(mutex_);
  if (stopped_) return false;
  tasks_.push_back(std::move(task));
  changed_.NotifyAll();
  return true;
}

void BackgroundThread::RepeatEvery(std::chrono::milliseconds pause, Task task) {
  const MutexLock lock(mutex_);
  repeated_ = std::move(task);
  pause_ = pause;
  due_ = Clock::now() + pause;
  changed_.NotifyAll();
}

void BackgroundThread::Stop() {
  {
    const MutexLock lock(mutex_);
    stopped_ = true;
    changed_.NotifyAll();
  }
  if (thread_.joinable()) thread_.join();
}

BackgroundThread::Task BackgroundThread::WaitForPosted() {
  while (tasks_.empty() && !stopped_) {
    if (repeated_ == nullptr) {
      changed_.Wait(mutex_);
    } else if (!changed_.WaitUntil(mutex_, due_)) {
      break;
    }
  }
  if (tasks_.empty()) return nullptr;
  Task task = std::move(tasks_.front());
  tasks_.pop_front();
  return task;
}

void BackgroundThread::Run() {
  LowerPriority();
  for (;;) {
    Task task;
    bool is_posted = true;
    {
      const MutexLock lock(mutex_);
      task = WaitForPosted();
      if (task == nullptr) {
        if (stopped_) return;
        task = repeated_;
        is_posted = false;
      }
    }
    task();
    task = nullptr;  // destroys what the task owns before the next wait
    if (is_posted) continue;
    const MutexLock lock(mutex_);
    due_ = Clock::now() + pause_;
  }
}

}  // namespace lmserve
