// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_MIXTURE_JSON_VALUES_H_
#define LMSERVE_MODELS_MIXTURE_JSON_VALUES_H_

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// Parts of the readers of JSON files that are not trusted. No function recurses
// into a value. All are thread-safe.

// Returns the value of a key of an object, or null.
const nlohmann::json* FindJson(const nlohmann::json& object, const char* key);

// Formats a value for an error message: "none" for null. For lists and objects,
// which may be deep, it returns only the name of the type.
std::string FoundJson(const nlohmann::json* value);

// Returns INVALID_ARGUMENT with the message "EXPECTED, found VALUE".
absl::Status WrongJson(absl::string_view expected, const nlohmann::json* found);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_MIXTURE_JSON_VALUES_H_
