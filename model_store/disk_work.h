// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODEL_STORE_DISK_WORK_H_
#define LMSERVE_MODEL_STORE_DISK_WORK_H_

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace lmserve {

// Runs tasks that read or write a store, on threads that can be abandoned. Each
// task has a key, such as the name of a model. Tasks with the same key run one
// at a time, in the order in which they were posted. So a file system that
// hangs, such as that of a dead NFS server, holds up only the tasks of its own
// keys. Normally one thread runs all tasks; another one starts when all that
// run have taken longer than kPatience. A thread that hangs is abandoned: it
// stays until the operating system lets it end. Thread-safe, except for Stop().
class DiskWork {
 public:
  // The most threads, with those that hang. A key has one at a time.
  static constexpr int kMostThreads = 64;

  // How long a task may take before another thread starts for the next key.
  static constexpr std::chrono::milliseconds kPatience{100};

  // Called on any thread, and may be called after the end of this object.
  using Task = std::function<void()>;

  DiskWork();
  ~DiskWork();  // calls Stop()

  // Queues a task and returns its number, which is not 0.
  uint64_t Post(const std::string& key, Task task);

  // Drops a task that has not begun. Returns false if it has begun or ended.
  bool Cancel(const std::string& key, uint64_t number);

  // Starts threads for tasks that had to wait for one that hangs. Must be
  // called from time to time while IsBusy().
  void Tick();

  // Whether a task is waiting or running.
  bool IsBusy() const;

  // Whether IsBusy() and all tasks are held up by some that have run for longer
  // than `patience`.
  bool IsStalled(std::chrono::milliseconds patience) const;

  // Whether a task of this key has run for longer than `patience`, or has
  // waited as long because all threads hang.
  bool IsStalled(const std::string& key,
                 std::chrono::milliseconds patience) const;

  // Threads that start after this call have the lowest priority.
  void LowerPriority();

  // Drops all tasks that have not begun, waits at most `patience` for the
  // others, and abandons those that have not ended. Drops what is posted later.
  // Returns whether all threads have ended.
  bool Stop(std::chrono::milliseconds patience);

 private:
  struct State;

  const std::shared_ptr<State> state_;  // shared with the threads
};

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_DISK_WORK_H_
