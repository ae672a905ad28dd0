// SPDX-License-Identifier: Apache-2.0
#include "server/connections/write_turns.h"

#include <utility>

namespace lmserve {

bool WriteTurns::Begin(std::function<bool()> on_turn) {
  const MutexLock lock(mutex_);
  if (free_ > 0) {
    --free_;
    return true;
  }
  waiting_.push_back(std::move(on_turn));
  return false;
}

void WriteTurns::End() {
  const MutexLock lock(mutex_);
  while (!waiting_.empty()) {
    const std::function<bool()> on_turn = std::move(waiting_.front());
    waiting_.pop_front();
    if (on_turn()) return;
  }
  ++free_;
}

}  // namespace lmserve
