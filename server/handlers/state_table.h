#ifndef LMSERVE_SERVER_HANDLERS_STATE_TABLE_H_
#define LMSERVE_SERVER_HANDLERS_STATE_TABLE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

namespace lmserve {

// The states of the hypotheses of one decoder, by handle. A handle is given out
// with one reference, and is free again with its last. One thread at a time.
class StateTable {
 public:
  using Handle = uint32_t;

  explicit StateTable(size_t state_size) : state_size_(state_size) {}

  // Handles that are given out.
  size_t size() const { return references_.size() - free_.size(); }

  bool Contains(Handle handle) const {
    return handle < references_.size() && references_[handle] > 0;
  }

  // Makes room, so that as many Add() more move no state; and the bytes of all
  // states then.
  void Reserve(size_t more) { states_.resize(BytesWith(more)); }
  size_t BytesWith(size_t more) const;

  // Gives a handle out; its state is still to be written. Pointers to states
  // stay valid up to the next Reserve().
  Handle Add();

  std::byte* state(Handle handle) {
    return states_.data() + handle * state_size_;
  }

  // REQUIRE: Contains(handle).
  void Retain(Handle handle) { ++references_[handle]; }
  void Release(Handle handle);

 private:
  const size_t state_size_;
  std::vector<std::byte> states_;
  std::vector<uint32_t> references_;  // a handle; 0: free
  std::vector<Handle> free_;          // the next one last
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HANDLERS_STATE_TABLE_H_
