// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_MODEL_STORE_WAITING_H_
#define LMSERVE_TESTS_MODEL_STORE_WAITING_H_

#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <mutex>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "model_store/model_store.h"

namespace lmserve {

// Starts a change of a store, waits until it is done and returns its status.
inline absl::Status Wait(absl::FunctionRef<void(ModelStore::Done)> change) {
  std::promise<absl::Status> promise;
  change([&](const absl::Status& status) { promise.set_value(status); });
  return promise.get_future().get();
}

// Waits until a condition holds that depends on a store. Returns false after
// the timeout.
inline bool WaitUntil(ModelStore& store,
                      const std::function<bool()>& condition) {
  constexpr std::chrono::seconds kTimeout(60);
  std::mutex mutex;
  std::condition_variable changed;
  store.OnChange([&] {
    const std::lock_guard<std::mutex> lock(mutex);
    changed.notify_all();
  });
  bool holds = false;
  {
    std::unique_lock<std::mutex> lock(mutex);
    holds = changed.wait_for(lock, kTimeout, condition);
  }
  store.OnChange(nullptr);
  return holds;
}

}  // namespace lmserve

#endif  // LMSERVE_TESTS_MODEL_STORE_WAITING_H_
