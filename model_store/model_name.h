// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODEL_STORE_MODEL_NAME_H_
#define LMSERVE_MODEL_STORE_MODEL_NAME_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// The parts of NAME, NAME@VERSION or NAME@ALIAS, the forms in which users name
// a model.
struct ModelName {
  std::string name;
  uint64_t version = 0;  // 0: not given
  std::string alias;     // empty: not given
};

// The alias that NAME alone stands for, if the model has it. Otherwise NAME is
// the newest version.
inline constexpr absl::string_view kDefaultAlias = "default";

// Return INVALID_ARGUMENT unless the name has 1 to 64 characters of
// [A-Za-z0-9._-] and does not begin with a dot. An alias must also not consist
// of digits only.
absl::Status CheckModelName(absl::string_view name);
absl::Status CheckAlias(absl::string_view alias);

// Returns NAME@VERSION.
std::string VersionName(absl::string_view name, uint64_t version);

// Parses NAME, NAME@VERSION or NAME@ALIAS. INVALID_ARGUMENT if the text has
// another form.
absl::StatusOr<ModelName> ParseModelName(absl::string_view text);

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_MODEL_NAME_H_
