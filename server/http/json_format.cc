// SPDX-License-Identifier: Apache-2.0
#include "server/http/json_format.h"

#include "absl/strings/str_cat.h"
#include "server/http/json_parser.h"
#include "server/http/json_printer.h"

namespace lmserve {

JsonFormat::JsonFormat() = default;

absl::Status JsonFormat::ToWire(const google::protobuf::Descriptor& type,
                                absl::string_view json,
                                std::string* wire) const {
  wire->clear();
  wire->reserve(json.size());
  const absl::Status status = ParseJson(type, json, wire);
  if (status.ok()) return status;
  return absl::InvalidArgumentError(absl::StrCat(
      "the body is not a ", type.name(), " in JSON: ", status.message()));
}

void JsonFormat::Append(const google::protobuf::Message& message,
                        std::string* json) const {
  AppendJson(message, json);
}

size_t JsonFormat::MaxBytes(const google::protobuf::Message& message) {
  return MaxJsonBytes(message);
}

}  // namespace lmserve
