// SPDX-License-Identifier: Apache-2.0
#include "models/mixture/json_values.h"

#include <nlohmann/json.hpp>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace lmserve {

const nlohmann::json* FindJson(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

std::string FoundJson(const nlohmann::json* value) {
  if (value == nullptr) return "none";
  if (value->is_structured()) return value->type_name();
  const std::string text =
      value->dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  return absl::CHexEscape(text.substr(0, 60));
}

absl::Status WrongJson(absl::string_view expected,
                       const nlohmann::json* found) {
  return absl::InvalidArgumentError(
      absl::StrCat(expected, ", found ", FoundJson(found)));
}

}  // namespace lmserve
