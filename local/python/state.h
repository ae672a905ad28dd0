// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_LOCAL_PYTHON_STATE_H_
#define LMSERVE_LOCAL_PYTHON_STATE_H_

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "absl/container/inlined_vector.h"
#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lmserve::python {

// The state of a model as a Python object, which owns its bytes. A state of no
// bytes, which State() makes, is the one in which nothing was read; for an
// n-gram model that is a state of zeros, so trailing zeros are ignored when
// states are compared. One thread at a time.
class State {
 public:
  State() = default;

  // LocalModel::fingerprint() of the model that wrote it; 0: no model yet.
  uint64_t model() const { return model_; }
  size_t size() const { return words_.size() * sizeof(uint32_t); }
  const std::byte* data() const {
    return reinterpret_cast<const std::byte*>(words_.data());
  }
  absl::string_view bytes() const {
    return {reinterpret_cast<const char*>(words_.data()), size()};
  }

  // Makes it a state of `size` bytes, which the caller writes.
  // REQUIRES: size is a multiple of 4.
  std::byte* Resize(uint64_t model, size_t size) {
    model_ = model;
    words_.resize(size / sizeof(uint32_t));
    return reinterpret_cast<std::byte*>(words_.data());
  }

  friend std::strong_ordering operator<=>(const State& a, const State& b) {
    const absl::Span<const uint32_t> x = a.Significant(), y = b.Significant();
    return std::lexicographical_compare_three_way(x.begin(), x.end(), y.begin(),
                                                  y.end());
  }
  friend bool operator==(const State& a, const State& b) {
    return a.Significant() == b.Significant();
  }
  size_t Hash() const { return absl::HashOf(Significant()); }

 private:
  // The words up to the last one that is not 0.
  absl::Span<const uint32_t> Significant() const {
    size_t size = words_.size();
    while (size > 0 && words_[size - 1] == 0) --size;
    return absl::MakeConstSpan(words_).first(size);
  }

  uint64_t model_ = 0;
  absl::InlinedVector<uint32_t, 4> words_;
};

}  // namespace lmserve::python

#endif  // LMSERVE_LOCAL_PYTHON_STATE_H_
