#ifndef LMSERVE_TESTS_FUZZ_REQUIRE_H_
#define LMSERVE_TESTS_FUZZ_REQUIRE_H_

#include <cstdio>
#include <cstdlib>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// Ends the program unless what was promised holds: a finding, for a fuzzer.
inline void Require(bool holds, absl::string_view promise) {
  if (holds) return;
  std::fprintf(stderr, "broken: %.*s\n", static_cast<int>(promise.size()),
               promise.data());
  std::abort();
}

inline void RequireOk(const absl::Status& status, absl::string_view promise) {
  if (!status.ok()) std::fprintf(stderr, "%s\n", status.ToString().c_str());
  Require(status.ok(), promise);
}

}  // namespace lmserve

#endif  // LMSERVE_TESTS_FUZZ_REQUIRE_H_
