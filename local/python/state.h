// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_LOCAL_PYTHON_STATE_H_
#define LMSERVE_LOCAL_PYTHON_STATE_H_

#include <algorithm>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>

#include "absl/container/inlined_vector.h"
#include "absl/hash/hash.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "models/ngram/fast/ngram_model.h"

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

  // Makes it a state of `size` bytes, which the caller writes, without
  // contexts. REQUIRES: size is a multiple of 4.
  std::byte* Resize(uint64_t model, size_t size) {
    contexts_.reset();
    return ResizeBytes(model, size);
  }

  // The contexts of the state, if its writer knew them: what NgramModel needs
  // for the next word. No part of the value.
  const std::optional<NgramModel::Contexts>& contexts() const {
    return contexts_;
  }

  // Makes it the state of these contexts.
  void SetContexts(const NgramModel& ngram, uint64_t model,
                   const NgramModel::Contexts& contexts) {
    contexts_ = contexts;
    WriteBytes(ngram, model);
  }

  // Makes it the state after a word that is read in contexts, which may be its
  // own, and returns the score of the word.
  NgramModel::Step ReadWord(const NgramModel& ngram, uint64_t model,
                            const NgramModel::Contexts& before, WordId word) {
    if (!contexts_.has_value()) contexts_.emplace();
    const NgramModel::Step step = ngram.ScoreWord(before, word, &*contexts_);
    WriteBytes(ngram, model);
    return step;
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
  std::byte* ResizeBytes(uint64_t model, size_t size) {
    model_ = model;
    const size_t words = size / sizeof(uint32_t);
    if (words_.size() != words) words_.resize(words);
    return reinterpret_cast<std::byte*>(words_.data());
  }

  void WriteBytes(const NgramModel& ngram, uint64_t model) {
    ngram.WriteState(*contexts_,
                     ResizeBytes(model, NgramModel::kBackOffStateSize));
  }

  // The words up to the last one that is not 0.
  absl::Span<const uint32_t> Significant() const {
    size_t size = words_.size();
    while (size > 0 && words_[size - 1] == 0) --size;
    return absl::MakeConstSpan(words_).first(size);
  }

  uint64_t model_ = 0;
  absl::InlinedVector<uint32_t, 4> words_;
  std::optional<NgramModel::Contexts> contexts_;
};

}  // namespace lmserve::python

#endif  // LMSERVE_LOCAL_PYTHON_STATE_H_
