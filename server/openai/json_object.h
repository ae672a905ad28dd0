// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_OPENAI_JSON_OBJECT_H_
#define LMSERVE_SERVER_OPENAI_JSON_OBJECT_H_

#include <cstddef>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// The JSON object that is the body of a request. Its functions return a member,
// nullopt or an empty value if it is absent or null, and INVALID_ARGUMENT,
// naming it, if it is not of the type. A plain value.
class JsonObject {
 public:
  // Returns INVALID_ARGUMENT if the text is not a JSON object, or nested more
  // deeply than requests are.
  static absl::StatusOr<JsonObject> Parse(absl::string_view json);

  // What parsing this many bytes takes at most, with the bytes. Objects in an
  // array take the most.
  static constexpr size_t MemoryOfParsing(size_t json_bytes) {
    return 40 * json_bytes;
  }

  // The member, or null.
  const nlohmann::json& operator[](absl::string_view name) const;

  absl::StatusOr<std::string> String(absl::string_view name) const;
  absl::StatusOr<std::optional<bool>> Bool(absl::string_view name) const;
  absl::StatusOr<std::optional<double>> Number(absl::string_view name) const;
  // A whole number from 0 to 2^32 - 1.
  absl::StatusOr<std::optional<uint32_t>> Count(absl::string_view name) const;
  // Any whole number of 64 bits, negative ones modulo 2^64.
  absl::StatusOr<std::optional<uint64_t>> Integer(absl::string_view name) const;
  // An object in the object; absent, it is empty.
  absl::StatusOr<JsonObject> Object(absl::string_view name) const;

 private:
  explicit JsonObject(nlohmann::json object) : object_(std::move(object)) {}

  nlohmann::json object_;
};

// Returns JSON on one line. What is not UTF-8 is replaced.
std::string DumpJson(const nlohmann::ordered_json& json);

// Reads an array of word ids. Returns INVALID_ARGUMENT, naming `field`, if the
// value is not an array of word ids.
absl::StatusOr<std::vector<uint32_t>> ParseIds(absl::string_view field,
                                               const nlohmann::json& array);

// Returns INVALID_ARGUMENT "FIELD: expected EXPECTED, found VALUE".
absl::Status UnexpectedJson(absl::string_view field, absl::string_view expected,
                            const nlohmann::json& found);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_OPENAI_JSON_OBJECT_H_
