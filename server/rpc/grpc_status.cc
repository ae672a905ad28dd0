// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/grpc_status.h"

#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "google/rpc/error_details.pb.h"

namespace lmserve {
namespace {

// gRPC sends messages as metadata, of which clients accept 8 KiB by default.
// Replaces the middle of a long message by " ... ", between UTF-8 characters.
std::string Shortened(absl::string_view message) {
  constexpr size_t kMaxBytes = 2048;
  if (message.size() <= kMaxBytes) return std::string(message);
  const auto is_inside_character = [&](size_t i) {
    return (static_cast<unsigned char>(message[i]) & 0xC0) == 0x80;
  };
  size_t head = kMaxBytes / 2, tail = message.size() - kMaxBytes / 2;
  while (head > 0 && is_inside_character(head)) --head;
  while (tail < message.size() && is_inside_character(tail)) ++tail;
  return absl::StrCat(message.substr(0, head), " ... ", message.substr(tail));
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status();
  // The codes have the same numbers.
  const auto code = static_cast<grpc::StatusCode>(status.code());
  const std::string message = Shortened(status.message());
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
