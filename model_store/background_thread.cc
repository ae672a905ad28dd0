#include "model_store/background_thread.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <utility>

namespace lmserve {
namespace {

using Clock = std::chrono::steady_clock;

// Linux has a nice value a thread, and takes a thread's id for a process's.
void LowerPriority() {
  setpriority(PRIO_PROCESS, static_cast<id_t>(syscall(SYS_gettid)), 19);
}

}  // namespace

BackgroundThread::BackgroundThread() : thread_([this] { Run(); }) {}

BackgroundThread::~BackgroundThread() { Stop(); }

bool BackgroundThread::Post(Task task) {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (stopped_) return false;
  tasks_.push_back(std::move(task));
  changed_.notify_all();
  return true;
}

void BackgroundThread::RepeatEvery(std::chrono::milliseconds pause, Task task) {
  const std::lock_guard<std::mutex> lock(mutex_);
  repeated_ = std::move(task);
  pause_ = pause;
  due_ = Clock::now() + pause;
  changed_.notify_all();
}

void BackgroundThread::Stop() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stopped_ = true;
    changed_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void BackgroundThread::Run() {
  LowerPriority();
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    while (!HasWork()) {
      if (repeated_ == nullptr) {
        changed_.wait(lock);
      } else if (changed_.wait_until(lock, due_) == std::cv_status::timeout) {
        break;
      }
    }
    if (tasks_.empty() && stopped_) return;
    const bool posted = !tasks_.empty();
    Task task = posted ? std::move(tasks_.front()) : repeated_;
    if (posted) tasks_.pop_front();
    lock.unlock();
    task();
    task = nullptr;  // what it holds ends here, not under the lock
    lock.lock();
    if (!posted) due_ = Clock::now() + pause_;
  }
}

}  // namespace lmserve
