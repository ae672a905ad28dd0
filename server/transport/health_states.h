// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_TRANSPORT_HEALTH_STATES_H_
#define LMSERVE_SERVER_TRANSPORT_HEALTH_STATES_H_

#include <map>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "model_store/mutex.h"

namespace lmserve {

// Which services and models serve, by their names, as health checks of any
// transport report it. Thread-safe.
class HealthStates {
 public:
  void Set(const std::string& name, bool is_serving) {
    const MutexLock lock(mutex_);
    is_serving_[name] = is_serving && !is_shut_down_;
  }

  // Whether it serves; nullopt if the name is not known.
  std::optional<bool> Get(const std::string& name) const {
    const MutexLock lock(mutex_);
    const auto found = is_serving_.find(name);
    if (found == is_serving_.end()) return std::nullopt;
    return found->second;
  }

  // Nothing serves from now on.
  void Shutdown() {
    const MutexLock lock(mutex_);
    is_shut_down_ = true;
    for (auto& state : is_serving_) state.second = false;
  }

 private:
  mutable Mutex mutex_;
  std::map<std::string, bool> is_serving_ ABSL_GUARDED_BY(mutex_);
  bool is_shut_down_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_TRANSPORT_HEALTH_STATES_H_
