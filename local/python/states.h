// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_LOCAL_PYTHON_STATES_H_
#define LMSERVE_LOCAL_PYTHON_STATES_H_

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "absl/hash/hash.h"
#include "local/python/state.h"

namespace lmserve::python {

// States of one model, in one piece of memory. Not thread-safe while it is
// changed; Python code cannot change it.
class States {
 public:
  States() = default;
  // Zeros: `count` states of `state_size` bytes. REQUIRES: state_size > 0, a
  // multiple of 4.
  States(uint64_t model, size_t state_size, size_t count)
      : model_(model), state_size_(state_size), bytes_(count * state_size) {}

  // See State::model(). 0 if there are no states.
  uint64_t model() const { return model_; }
  size_t state_size() const { return state_size_; }
  size_t size() const {
    return state_size_ == 0 ? 0 : bytes_.size() / state_size_;
  }
  const std::vector<std::byte>& bytes() const { return bytes_; }

  // REQUIRES: i < size().
  std::byte* at(size_t i) { return bytes_.data() + i * state_size_; }
  const std::byte* at(size_t i) const {
    return bytes_.data() + i * state_size_;
  }

  State Get(size_t i) const {
    State state;
    std::memcpy(state.Resize(model_, state_size_), at(i), state_size_);
    return state;
  }

  friend bool operator==(const States&, const States&) = default;
  size_t Hash() const { return absl::HashOf(bytes_.size(), model_, Text()); }

 private:
  absl::string_view Text() const {
    return {reinterpret_cast<const char*>(bytes_.data()), bytes_.size()};
  }

  uint64_t model_ = 0;
  size_t state_size_ = 0;
  std::vector<std::byte> bytes_;
};

}  // namespace lmserve::python

#endif  // LMSERVE_LOCAL_PYTHON_STATES_H_
