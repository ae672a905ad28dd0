// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TESTS_SERVER_HTTP_JSON_REFERENCE_H_
#define LMSERVE_TESTS_SERVER_HTTP_JSON_REFERENCE_H_

#include <google/protobuf/message.h>
#include <google/protobuf/util/json_util.h>
#include <google/protobuf/util/type_resolver_util.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// Protobuf's own conversion of messages to JSON and back, which is slow, to
// compare with. It accepts some texts that are not valid JSON.
class JsonReference {
 public:
  // Knows the types of this pool.
  explicit JsonReference(const google::protobuf::DescriptorPool* pool =
                             google::protobuf::DescriptorPool::generated_pool())
      : types_(google::protobuf::util::NewTypeResolverForDescriptorPool(
            "x", pool)) {}

  // Returns whether JSON is a message, and its bytes in the wire format.
  bool Parse(const google::protobuf::Descriptor& type, absl::string_view json,
             std::string* wire) const {
    wire->clear();
    return google::protobuf::util::JsonToBinaryString(
               types_.get(), absl::StrCat("x/", type.full_name()),
               google::protobuf::StringPiece(json.data(), json.size()), wire,
               google::protobuf::util::JsonParseOptions())
        .ok();
  }

  std::string Print(const google::protobuf::Message& message) const {
    google::protobuf::util::JsonPrintOptions options;
    options.always_print_primitive_fields = true;
    std::string json;
    (void)google::protobuf::util::BinaryToJsonString(
        types_.get(), absl::StrCat("x/", message.GetDescriptor()->full_name()),
        message.SerializeAsString(), &json, options);
    return json;
  }

 private:
  const std::unique_ptr<google::protobuf::util::TypeResolver> types_;
};

}  // namespace lmserve

#endif  // LMSERVE_TESTS_SERVER_HTTP_JSON_REFERENCE_H_
