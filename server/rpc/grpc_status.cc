// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/grpc_status.h"

#include <string>

#include "absl/strings/cord.h"
#include "google/rpc/error_details.pb.h"
#include "models/printable_text.h"

namespace lmserve {
namespace {

// gRPC sends messages as metadata, of which clients accept 8 KiB by default.
// Bytes that are not ASCII take three bytes there.
constexpr size_t kMaxMessageBytes = 2048;

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status();
  // The codes have the same numbers.
  const auto code = static_cast<grpc::StatusCode>(status.code());
  const std::string message = Printable(status.message(), kMaxMessageBytes);
  google::rpc::Status details;
  status.ForEachPayload([&](absl::string_view type, const absl::Cord& value) {
    google::protobuf::Any* detail = details.add_details();
    detail->set_type_url(std::string(type));
    detail->set_value(std::string(value));
  });
  if (details.details().empty()) return grpc::Status(code, message);
  details.set_code(code);
  details.set_message(message);
  return grpc::Status(code, message, details.SerializeAsString());
}

}  // namespace lmserve
