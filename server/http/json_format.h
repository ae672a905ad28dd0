// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HTTP_JSON_FORMAT_H_
#define LMSERVE_SERVER_HTTP_JSON_FORMAT_H_

#include <google/protobuf/message.h>

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// The messages of the API as JSON, as protobuf defines it (ProtoJSON): names in
// lowerCamelCase, 64-bit integers as strings, "-Infinity" and the like as
// strings. A number that is printed and read again has the same bits.
// Thread-safe.
class JsonFormat {
 public:
  JsonFormat();

  // Converts JSON to the wire format of a message of this type. Returns
  // INVALID_ARGUMENT with the field and the position if it is not such a
  // message; a field that the type does not have is an error.
  absl::Status ToWire(const google::protobuf::Descriptor& type,
                      absl::string_view json, std::string* wire) const;

  // Appends the message as JSON, on one line. Fields of numbers, strings, enums
  // and lists that have their default value are printed, too; messages that are
  // not set and members of a oneof are not.
  void Append(const google::protobuf::Message& message,
              std::string* json) const;

  // The most bytes that Append() will add, for a budget.
  static size_t MaxBytes(const google::protobuf::Message& message);

  // What converting this many bytes of JSON takes at most, with the JSON and
  // the result. Maps with short keys take the most: 9.9 times their bytes.
  static constexpr size_t MemoryOfParsing(size_t json_bytes) {
    return 10 * json_bytes;
  }
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HTTP_JSON_FORMAT_H_
