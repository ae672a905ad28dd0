// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HTTP_JSON_PRINTER_H_
#define LMSERVE_SERVER_HTTP_JSON_PRINTER_H_

#include <google/protobuf/message.h>

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

namespace lmserve {

// Appends a message as JSON on one line, as protobuf defines it (ProtoJSON):
//
// - Fields come in the order in which the type declares them, under their names
//   in lowerCamelCase.
// - Fields without presence (numbers, strings and enums that are not `optional`
//   or members of a oneof, lists and maps) are printed even if they have their
//   default value. Fields with presence are printed if they are set.
// - 64-bit integers are strings. Enums are their names, or numbers that have no
//   name. Bytes are base64 with padding.
// - A float or a double has the fewest digits from which a reader of the same
//   type gets the same bits; negative zero is -0.0. What JSON lacks is "NaN",
//   "Infinity" or "-Infinity".
// - The entries of a map are sorted by their keys.
//
// Unknown fields are not printed. REQUIRES: the type contains no groups, no
// extensions and none of protobuf's own types, such as Any or Duration, which
// have forms of their own; strings are valid UTF-8, as parsing a message
// ensures.
void AppendJson(const google::protobuf::Message& message, std::string* json);

// Returns the most bytes that AppendJson() adds, for a budget. Takes about as
// long as the size of the message in the wire format.
size_t MaxJsonBytes(const google::protobuf::Message& message);

// Appends a float as it is in a message.
void AppendJsonFloat(float value, std::string* json);

// Appends a text as a string of JSON. REQUIRES: it is valid UTF-8.
void AppendJsonString(absl::string_view text, std::string* json);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HTTP_JSON_PRINTER_H_
