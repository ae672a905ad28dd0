// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/grpc_status.h"

#include <string>

#include "gtest/gtest.h"
#include "models/utf8.h"

namespace lmserve {
namespace {

// The conversion relies on absl and gRPC using the same numbers for the codes.
TEST(ToGrpcStatusTest, SameCodeSameMessage) {
  const struct {
    absl::Status status;
    grpc::StatusCode code;
  } cases[] = {
      {absl::CancelledError("why"), grpc::CANCELLED},
      {absl::UnknownError("why"), grpc::UNKNOWN},
      {absl::InvalidArgumentError("why"), grpc::INVALID_ARGUMENT},
      {absl::DeadlineExceededError("why"), grpc::DEADLINE_EXCEEDED},
      {absl::NotFoundError("why"), grpc::NOT_FOUND},
      {absl::AlreadyExistsError("why"), grpc::ALREADY_EXISTS},
      {absl::PermissionDeniedError("why"), grpc::PERMISSION_DENIED},
      {absl::ResourceExhaustedError("why"), grpc::RESOURCE_EXHAUSTED},
      {absl::FailedPreconditionError("why"), grpc::FAILED_PRECONDITION},
      {absl::AbortedError("why"), grpc::ABORTED},
      {absl::OutOfRangeError("why"), grpc::OUT_OF_RANGE},
      {absl::UnimplementedError("why"), grpc::UNIMPLEMENTED},
      {absl::InternalError("why"), grpc::INTERNAL},
      {absl::UnavailableError("why"), grpc::UNAVAILABLE},
      {absl::DataLossError("why"), grpc::DATA_LOSS},
      {absl::UnauthenticatedError("why"), grpc::UNAUTHENTICATED},
  };
  for (const auto& expected : cases) {
    const grpc::Status status = ToGrpcStatus(expected.status);
    EXPECT_EQ(status.error_code(), expected.code) << expected.status;
    EXPECT_EQ(status.error_message(), "why");
  }
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
}

// Clients accept 8 KiB of metadata. "\u20AC" has three bytes, which must stay
// together.
TEST(ToGrpcStatusTest, LongMessagesLoseTheirMiddle) {
  std::string euros;
  for (int i = 0; i < 5000; ++i) euros += "\u20AC";
  const std::string message =
      ToGrpcStatus(absl::NotFoundError("first " + euros + " last"))
          .error_message();
  EXPECT_LE(message.size(), 2100u);
  EXPECT_EQ(FindInvalidUtf8(message), absl::string_view::npos);
  EXPECT_EQ(message.substr(0, 9), "first \u20AC");
  EXPECT_EQ(message.substr(message.size() - 8), "\u20AC last");
}

// Bytes of the request in a message must not control the client's terminal.
TEST(ToGrpcStatusTest, MessagesArePrintable) {
  EXPECT_EQ(ToGrpcStatus(absl::NotFoundError("a\x1B[2J\n\xFF")).error_message(),
            "a\\x1b[2J\\x0a\\xff");
}

}  // namespace
}  // namespace lmserve
