#ifndef LMSERVE_MODEL_STORE_MODEL_NAME_H_
#define LMSERVE_MODEL_STORE_MODEL_NAME_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// A model as a user names it: NAME, NAME@VERSION or NAME@ALIAS.
struct ModelName {
  std::string name;
  uint64_t version = 0;  // 0: not given
  std::string alias;     // empty: not given
};

// OK for 1 to 64 characters of [A-Za-z0-9._-], the first no dot. An alias is
// the same and not all digits.
absl::Status CheckModelName(absl::string_view name);
absl::Status CheckAlias(absl::string_view alias);

// NAME@VERSION.
std::string VersionName(absl::string_view name, uint64_t version);

// Takes the text apart; fails with INVALID_ARGUMENT, telling the three forms.
absl::StatusOr<ModelName> ParseModelName(absl::string_view text);

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_MODEL_NAME_H_
