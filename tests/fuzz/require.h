// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_FUZZ_REQUIRE_H_
#define LMSERVE_TESTS_FUZZ_REQUIRE_H_

#include <cstdio>
#include <cstdlib>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// Aborts if a property does not hold, which the fuzzer reports as a finding.
inline void Require(bool holds, absl::string_view property) {
  if (holds) return;
  std::fprintf(stderr, "property does not hold: %.*s\n",
               static_cast<int>(property.size()), property.data());
  std::abort();
}

inline void RequireOk(const absl::Status& status, absl::string_view property) {
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  Require(status.ok(), property);
}

}  // namespace lmserve

#endif  // LMSERVE_TESTS_FUZZ_REQUIRE_H_
