// SPDX-License-Identifier: Apache-2.0
#include "server/http/json_format.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/type_resolver_util.h>

#include "absl/strings/str_cat.h"
#include "server/http/json_depth.h"

namespace lmserve {
namespace {

namespace util = google::protobuf::util;

constexpr char kUrlPrefix[] = "type.googleapis.com";

// A character of a string may be printed as \u003c.
constexpr size_t kMaxExpansion = 6;
// Of the names of fields that have their default value.
constexpr size_t kMaxOverhead = 1 << 10;

// Messages of the API have at most seven levels. Protobuf limits those of
// objects, but takes a hundred bytes for each array in an array.
constexpr int kMaxDepth = 32;

}  // namespace

JsonFormat::JsonFormat()
    : types_(util::NewTypeResolverForDescriptorPool(
          kUrlPrefix, google::protobuf::DescriptorPool::generated_pool())) {}

absl::Status JsonFormat::ToWire(const google::protobuf::Descriptor& type,
                                absl::string_view json,
                                std::string* wire) const {
  if (JsonIsDeeperThan(kMaxDepth, json)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the body is not a ", type.name(),
                     " in JSON: it is nested too deeply"));
  }
  const auto status = util::JsonToBinaryString(
      types_.get(), absl::StrCat(kUrlPrefix, "/", type.full_name()),
      google::protobuf::StringPiece(json.data(), json.size()), wire,
      util::JsonParseOptions());
  if (status.ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "the body is not a ", type.name(), " in JSON: ",
      absl::string_view(status.message().data(), status.message().size())));
}

void JsonFormat::Append(const google::protobuf::Message& message,
                        std::string* json) const {
  util::JsonPrintOptions options;
  options.always_print_primitive_fields = true;
  // Cannot fail, because the message is one of the pool.
  (void)util::MessageToJsonString(message, json, options);
}

size_t JsonFormat::MaxBytes(const google::protobuf::Message& message) {
  return kMaxExpansion * message.ByteSizeLong() + kMaxOverhead;
}

}  // namespace lmserve
