// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HANDLERS_STATE_TABLE_H_
#define LMSERVE_SERVER_HANDLERS_STATE_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"

namespace lmserve {

// The states of the hypotheses of one Decode stream, by handle. A new handle
// has one reference; when the last one is released, the handle is free for
// another state. One thread at a time.
class StateTable {
 public:
  using Handle = uint32_t;

  explicit StateTable(size_t state_size) : state_size_(state_size) {}

  // The number of handles with a reference.
  size_t size() const { return references_.size() - free_.size(); }

  bool Contains(Handle handle) const {
    return handle < references_.size() && references_[handle] > 0;
  }

  // Makes room for this many more handles.
  void Reserve(size_t more) { states_.resize(BytesWith(more)); }

  // Returns how many bytes all states take after Reserve(more).
  size_t BytesWith(size_t more) const;

  // Returns a new handle, whose state the caller must write. Pointers to states
  // stay valid until the next Reserve(). REQUIRES: Reserve() made room.
  Handle Add();

  std::byte* state(Handle handle) {
    return states_.data() + handle * state_size_;
  }

  // Returns the index of the first handle that cannot be released after those
  // before it, or the number of handles if all can be.
  size_t FindUnreleasable(absl::Span<const Handle> handles);

  // Adds or removes a reference. REQUIRES: Contains(handle).
  void Retain(Handle handle) { ++references_[handle]; }
  void Release(Handle handle);

 private:
  const size_t state_size_;
  std::vector<std::byte> states_;
  std::vector<uint32_t> references_;  // of each handle; 0: free
  std::vector<Handle> free_;          // the last one is used first
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HANDLERS_STATE_TABLE_H_
