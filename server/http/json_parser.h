// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HTTP_JSON_PARSER_H_
#define LMSERVE_SERVER_HTTP_JSON_PARSER_H_

#include <google/protobuf/descriptor.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// Objects and arrays may be nested this deep.
inline constexpr int kMaxJsonDepth = 32;

// Converts JSON to the wire format of a message of this type, and appends that
// to *wire. The JSON must be strictly that of RFC 8259 and what protobuf
// defines for the type (ProtoJSON):
//
// - A field is named in lowerCamelCase or as in the .proto file. Names that the
//   type does not have are errors, and so are two values for one field, two
//   members of one oneof, and two equal keys of a map.
// - null stands for a field that is not set. It is no value of a list or a map.
// - An integer is a number without a fractional part, or a string with such a
//   number: 1, 1e3, 1.0 and "1" are integers, and keep all their digits. A
//   float or a double is a number, a string with a number, "NaN", "Infinity" or
//   "-Infinity"; it is rounded to the nearest value, and must not be too large.
// - An enum is a name or an integer. Bytes are base64 in either alphabet, with
//   or without padding.
// - Strings are valid UTF-8. Escapes of surrogates come in pairs.
//
// Returns INVALID_ARGUMENT with the path of the field, in lowerCamelCase, the
// position and what was expected and found there, such as
//   texts[2].ids.ids[0] at byte 57: expected an integer from 0 to 4294967295,
//   found -1
// Bytes count from 1. *wire is then of no use. Besides the JSON and *wire,
// whose lengths are at most in the ratio of 1 to 4, parsing takes up to 36
// bytes for each entry of a map. REQUIRES: the type contains no groups, and
// none of protobuf's own types, such as Any or Duration, which have forms of
// their own.
absl::Status ParseJson(const google::protobuf::Descriptor& type,
                       absl::string_view json, std::string* wire);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HTTP_JSON_PARSER_H_
