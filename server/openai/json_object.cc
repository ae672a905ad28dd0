// SPDX-License-Identifier: Apache-2.0
#include "server/openai/json_object.h"

#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "models/printable_text.h"
#include "server/call/status.h"
#include "server/http/json_parser.h"

namespace lmserve {
namespace {

using nlohmann::json;

// Whether arrays and objects are nested too deeply: the parser takes many bytes
// for each level. Text that is not valid JSON may have any result.
bool IsTooDeep(absl::string_view json) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < json.size(); ++i) {
    const char c = json[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > kMaxJsonDepth) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

// Converts a member by `convert`, a function that returns an optional: nullopt
// means that it is not `expected`.
template <typename Convert>
auto Converted(absl::string_view name, const json& member,
               absl::string_view expected, const Convert& convert)
    -> absl::StatusOr<decltype(convert(member))> {
  decltype(convert(member)) value;
  if (member.is_null()) return value;
  value = convert(member);
  if (!value.has_value()) return UnexpectedJson(name, expected, member);
  return value;
}

std::optional<uint32_t> CountOf(const json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  const auto number = value.get<uint64_t>();
  if (number > std::numeric_limits<uint32_t>::max()) return std::nullopt;
  return static_cast<uint32_t>(number);
}

}  // namespace

absl::Status UnexpectedJson(absl::string_view field, absl::string_view expected,
                            const json& found) {
  constexpr size_t kMaxShown = 40;
  // Printing a long array would take long.
  const std::string shown =
      found.is_structured()
          ? std::string(found.is_array() ? "an array" : "an object")
          : found.dump(-1, ' ', false, json::error_handler_t::replace);
  return InvalidField(field, absl::StrCat("expected ", expected, ", found ",
                                          Printable(shown, kMaxShown)));
}

std::string DumpJson(const nlohmann::ordered_json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

absl::StatusOr<JsonObject> JsonObject::Parse(absl::string_view text) {
  if (IsTooDeep(text)) {
    return absl::InvalidArgumentError(
        "the body is not a request in JSON: it is nested too deeply");
  }
  json object = json::parse(text.begin(), text.end(), /*cb=*/nullptr,
                            /*allow_exceptions=*/false);
  if (!object.is_object()) {
    return absl::InvalidArgumentError(
        object.is_discarded()
            ? "the body is not valid JSON"
            : "the body is not a request: expected a JSON object");
  }
  return JsonObject(std::move(object));
}

const json& JsonObject::operator[](absl::string_view name) const {
  static const json* const kNull = new json();
  const auto found = object_.find(std::string(name));
  return found == object_.end() ? *kNull : *found;
}

absl::StatusOr<std::string> JsonObject::String(absl::string_view name) const {
  const auto convert = [](const json& value) -> std::optional<std::string> {
    if (!value.is_string()) return std::nullopt;
    return value.get_ref<const std::string&>();
  };
  auto value = Converted(name, (*this)[name], "a string", convert);
  if (!value.ok()) return value.status();
  return std::move(*value).value_or("");
}

absl::StatusOr<std::optional<bool>> JsonObject::Bool(
    absl::string_view name) const {
  const auto convert = [](const json& value) -> std::optional<bool> {
    if (!value.is_boolean()) return std::nullopt;
    return value.get<bool>();
  };
  return Converted(name, (*this)[name], "true or false", convert);
}

absl::StatusOr<std::optional<double>> JsonObject::Number(
    absl::string_view name) const {
  const auto convert = [](const json& value) -> std::optional<double> {
    if (!value.is_number()) return std::nullopt;
    return value.get<double>();
  };
  return Converted(name, (*this)[name], "a number", convert);
}

absl::StatusOr<std::optional<uint32_t>> JsonObject::Count(
    absl::string_view name) const {
  return Converted(name, (*this)[name], "a whole number of at least 0",
                   CountOf);
}

absl::StatusOr<std::optional<uint64_t>> JsonObject::Integer(
    absl::string_view name) const {
  const auto convert = [](const json& value) -> std::optional<uint64_t> {
    if (value.is_number_unsigned()) return value.get<uint64_t>();
    if (!value.is_number_integer()) return std::nullopt;
    return static_cast<uint64_t>(value.get<int64_t>());
  };
  return Converted(name, (*this)[name], "a whole number of 64 bits", convert);
}

absl::StatusOr<JsonObject> JsonObject::Object(absl::string_view name) const {
  const json& member = (*this)[name];
  if (member.is_null()) return JsonObject(json::object());
  if (!member.is_object()) return UnexpectedJson(name, "an object", member);
  return JsonObject(member);
}

absl::StatusOr<std::vector<uint32_t>> ParseIds(absl::string_view field,
                                               const json& array) {
  if (!array.is_array()) {
    return UnexpectedJson(field, "an array of word ids", array);
  }
  std::vector<uint32_t> ids;
  ids.reserve(array.size());
  for (const json& element : array) {
    const std::optional<uint32_t> id = CountOf(element);
    if (!id.has_value()) return UnexpectedJson(field, "a word id", element);
    ids.push_back(*id);
  }
  return ids;
}

}  // namespace lmserve
