// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_CONNECTIONS_WRITE_TURNS_H_
#define LMSERVE_SERVER_CONNECTIONS_WRITE_TURNS_H_

#include <cstddef>
#include <deque>
#include <functional>

#include "absl/base/thread_annotations.h"
#include "model_store/mutex.h"

namespace lmserve {

// Lets some of the connections of a client write much to gRPC at a time, in the
// order in which they ask. gRPC reads what has arrived on one connection after
// the other and works on it, so without this the request of another client
// would wait for what all connections of this one have sent. Thread-safe.
class WriteTurns {
 public:
  explicit WriteTurns(size_t turns) : free_(turns) {}

  // Begins a turn if one is free, and returns whether it has begun. Otherwise
  // `on_turn` is called when it begins, on any thread; it must return at once,
  // call nothing of this object, and return false if the turn is no longer
  // wanted. End() must follow each turn.
  bool Begin(std::function<bool()> on_turn);

  // Ends a turn, and begins the one that was asked for first.
  void End();

 private:
  Mutex mutex_;
  size_t free_ ABSL_GUARDED_BY(mutex_);
  std::deque<std::function<bool()>> waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_CONNECTIONS_WRITE_TURNS_H_
