#ifndef LMSERVE_MODEL_STORE_BACKGROUND_THREAD_H_
#define LMSERVE_MODEL_STORE_BACKGROUND_THREAD_H_

#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace lmserve {

// A thread of the lowest priority that runs tasks one after the other, and,
// where it is told to, one of them every so often: work that must not take the
// processor from those who answer. Any number of threads may post to one.
class BackgroundThread {
 public:
  using Task = std::function<void()>;

  BackgroundThread();
  ~BackgroundThread();  // as Stop()

  // Runs a task after those posted before. False, and nothing happens, once the
  // thread is stopped. Tasks may post.
  bool Post(Task task);

  // Runs a task again and again, with a pause of that length between, in which
  // tasks that are posted run. Once at most.
  void RepeatEvery(std::chrono::milliseconds pause, Task task);

  // Runs what was posted, and ends. Not from a task.
  void Stop();

 private:
  void Run();
  bool HasWork() const { return stopped_ || !tasks_.empty(); }

  std::mutex mutex_;  // guards what follows, but the thread
  std::condition_variable changed_;
  std::deque<Task> tasks_;
  Task repeated_;
  std::chrono::milliseconds pause_;
  std::chrono::steady_clock::time_point due_;  // of repeated_, if any
  bool stopped_ = false;
  std::thread thread_;
};

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_BACKGROUND_THREAD_H_
