// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_TEXT_FINITE_OR_NULL_H_
#define LMSERVE_TRAINER_TEXT_FINITE_OR_NULL_H_

#include <cmath>
#include <nlohmann/json.hpp>

namespace lmserve {

// Returns a number as JSON. JSON has neither infinity nor NaN, so those become
// null.
inline nlohmann::ordered_json FiniteOrNull(double value) {
  if (!std::isfinite(value)) return nullptr;
  return value;
}

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_TEXT_FINITE_OR_NULL_H_
