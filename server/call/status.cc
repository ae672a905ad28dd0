#include "server/call/status.h"

#include <string>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"

namespace lmserve {
namespace {

constexpr char kRetryInfo[] = "type.googleapis.com/google.rpc.RetryInfo";

// Messages travel as metadata, of which clients take 8 KiB. What is in the
// middle of a long one is left out, between characters.
std::string Shortened(absl::string_view message) {
  constexpr size_t kMost = 2048;
  if (message.size() <= kMost) return std::string(message);
  const auto is_inside = [&](size_t i) {
    return (static_cast<unsigned char>(message[i]) & 0xC0) == 0x80;
  };
  size_t head = kMost / 2, tail = message.size() - kMost / 2;
  while (head > 0 && is_inside(head)) --head;
  while (tail < message.size() && is_inside(tail)) ++tail;
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

bool MayRetry(const absl::Status& status) {
  return status.GetPayload(kRetryInfo).has_value();
}

absl::Status ResourceExhausted(absl::string_view message, absl::Duration wait) {
  google::rpc::RetryInfo info;
  const timespec delay = absl::ToTimespec(wait);
  info.mutable_retry_delay()->set_seconds(delay.tv_sec);
  info.mutable_retry_delay()->set_nanos(static_cast<int32_t>(delay.tv_nsec));
  absl::Status status = absl::ResourceExhaustedError(message);
  status.SetPayload(kRetryInfo, absl::Cord(info.SerializeAsString()));
  return status;
}

absl::Status Prefixed(absl::string_view prefix, const absl::Status& status) {
  absl::Status prefixed(status.code(), absl::StrCat(prefix, status.message()));
  status.ForEachPayload([&](absl::string_view type, const absl::Cord& value) {
    prefixed.SetPayload(type, value);
  });
  return prefixed;
}

absl::Status ShuttingDown() {
  return absl::UnavailableError("the server is shutting down");
}

absl::Status InvalidField(absl::string_view field, absl::string_view problem) {
  return absl::InvalidArgumentError(absl::StrCat(field, ": ", problem));
}

absl::Status CannotDo(absl::string_view field, const LoadedVersion& model,
                      absl::string_view what) {
  absl::string_view kind = "reads from left to right";
  absl::string_view can =
      "scores, predicts the next word, reranks and generates";
  if (model.model().bidirectional() != nullptr) {
    kind = "is bidirectional";
    can = "scores, reranks and fills gaps";
  } else if (model.model().translation() != nullptr) {
    kind = "translates";
    can = "scores, reranks and generates, given a source";
  }
  return absl::FailedPreconditionError(absl::StrCat(field, ": '", model.name(),
                                                    "' ", kind, ": it cannot ",
                                                    what, "; it ", can));
}

absl::Status CheckLimit(absl::string_view field, uint64_t count,
                        uint64_t limit) {
  if (count <= limit) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat(field, ": ", count, ", the limit is ", limit));
}

}  // namespace lmserve
