#include "server/call/status.h"

#include <cstdint>
#include <string>

#include "gtest/gtest.h"
#include "models/text.h"

namespace lmserve {
namespace {

// The two libraries number the codes alike; the conversion stands on it.
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

// Clients take 8 KiB of metadata. "\u20AC" has three bytes, none of which is
// left alone.
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

TEST(InvalidFieldTest, NamesFieldAndProblem) {
  EXPECT_EQ(InvalidField("k", "too small"),
            absl::InvalidArgumentError("k: too small"));
}

TEST(CheckLimitTest, HoldsUpToTheLimit) {
  EXPECT_TRUE(CheckLimit("texts", 0, 0).ok());
  EXPECT_TRUE(CheckLimit("texts", 3, 3).ok());
  EXPECT_EQ(CheckLimit("texts", 4, 3),
            absl::ResourceExhaustedError("texts: 4, the limit is 3"));
  EXPECT_EQ(CheckLimit("texts", UINT64_MAX, 0),
            absl::ResourceExhaustedError(
                "texts: 18446744073709551615, the limit is 0"));
}

}  // namespace
}  // namespace lmserve
