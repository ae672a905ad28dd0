// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/state_table.h"

#include <algorithm>

namespace lmserve {

size_t StateTable::BytesWith(size_t more) const {
  if (more <= free_.size()) return states_.size();
  const size_t wanted = references_.size() + more - free_.size();
  if (wanted * state_size_ <= states_.size()) return states_.size();
  return std::max(wanted * state_size_, 2 * states_.size());
}

StateTable::Handle StateTable::Add() {
  if (free_.empty()) {
    references_.push_back(1);
    return static_cast<Handle>(references_.size() - 1);
  }
  const Handle handle = free_.back();
  free_.pop_back();
  references_[handle] = 1;
  return handle;
}

size_t StateTable::FindUnreleasable(absl::Span<const Handle> handles) {
  size_t count = 0;
  while (count < handles.size() && Contains(handles[count])) {
    --references_[handles[count++]];
  }
  for (size_t i = 0; i < count; ++i) ++references_[handles[i]];
  return count;
}

void StateTable::Release(Handle handle) {
  if (--references_[handle] == 0) free_.push_back(handle);
}

}  // namespace lmserve
