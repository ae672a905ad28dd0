// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_NEURAL_LENGTH_GROUPS_H_
#define LMSERVE_MODELS_NEURAL_LENGTH_GROUPS_H_

#include <cstddef>

#include "absl/functional/function_ref.h"
#include "absl/types/span.h"

namespace lmserve {

// Divides sequences, whose lengths are given, into groups of equal length that
// recurrent layers can read side by side, the shortest first. Calls `visit`
// with the indices of each group. A group has at most about 2,000 elements in
// all, which limits memory; a longer sequence is a group of its own.
// Thread-safe.
void ForEachLengthGroup(
    absl::Span<const size_t> lengths,
    absl::FunctionRef<void(absl::Span<const size_t> group)> visit);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_NEURAL_LENGTH_GROUPS_H_
