// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_TESTING_NAMED_OBSTACLE_H_
#define LMSERVE_TESTS_TESTING_NAMED_OBSTACLE_H_

#include <condition_variable>
#include <map>
#include <mutex>
#include <set>
#include <string>

namespace lmserve {

// Holds up the threads that pass with some names, like a file system that
// hangs. Thread-safe.
class NamedObstacle {
 public:
  // Threads with this name wait from now on, until RemoveAll().
  void Add(const std::string& name) {
    const std::lock_guard<std::mutex> lock(mutex_);
    names_.insert(name);
  }

  void RemoveAll() {
    const std::lock_guard<std::mutex> lock(mutex_);
    names_.clear();
    changed_.notify_all();
  }

  // Waits while the name has an obstacle.
  void Pass(const std::string& name) {
    std::unique_lock<std::mutex> lock(mutex_);
    ++waiting_[name];
    changed_.notify_all();
    changed_.wait(lock, [&] { return names_.count(name) == 0; });
    --waiting_[name];
  }

  // Waits until a thread waits in Pass().
  void WaitForOne(const std::string& name) {
    std::unique_lock<std::mutex> lock(mutex_);
    changed_.wait(lock, [&] { return waiting_[name] > 0; });
  }

  // How many threads wait in Pass().
  int waiting(const std::string& name) {
    const std::lock_guard<std::mutex> lock(mutex_);
    return waiting_[name];
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::set<std::string> names_;
  std::map<std::string, int> waiting_;
};

}  // namespace lmserve

#endif  // LMSERVE_TESTS_TESTING_NAMED_OBSTACLE_H_
