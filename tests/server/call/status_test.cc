// SPDX-License-Identifier: Apache-2.0
#include "server/call/status.h"

#include <cstdint>
#include <string>

#include "absl/strings/cord.h"
#include "google/rpc/error_details.pb.h"
#include "gtest/gtest.h"

namespace lmserve {
namespace {

// Returns the field of the BadRequest in the details, or an empty string.
std::string FieldInDetails(const absl::Status& status) {
  const auto payload =
      status.GetPayload("type.googleapis.com/google.rpc.BadRequest");
  google::rpc::BadRequest details;
  if (!payload.has_value() || !details.ParseFromString(std::string(*payload))) {
    return "";
  }
  return details.field_violations(0).field();
}

TEST(InvalidFieldTest, NamesFieldAndProblem) {
  const absl::Status status = InvalidField("k", "too small");
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "k: too small");
  EXPECT_EQ(FieldInDetails(status), "k");
}

// A long name, which contains text of the client, would not fit into the
// trailers of a call.
TEST(InvalidFieldTest, LongNamesAreOnlyInTheMessage) {
  const std::string field = "weights[" + std::string(1000, 'x') + "]";
  const absl::Status status = InvalidField(field, "why");
  EXPECT_EQ(status.message(), field + ": why");
  EXPECT_EQ(FieldInDetails(status), "");
}

TEST(CheckLimitTest, HoldsUpToTheLimit) {
  EXPECT_TRUE(CheckLimit("texts", 0, 0).ok());
  EXPECT_TRUE(CheckLimit("texts", 3, 3).ok());
  const absl::Status status = CheckLimit("texts", 4, 3);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(status.message(), "texts: expected at most 3, found 4");
  EXPECT_EQ(FieldInDetails(status), "texts");
  EXPECT_FALSE(MayRetry(status));
  EXPECT_EQ(CheckLimit("texts", UINT64_MAX, 0).message(),
            "texts: expected at most 0, found 18446744073709551615");
}

TEST(ResourceExhaustedTest, SaysWhenToRetry) {
  const absl::Status status =
      ResourceExhausted("busy", absl::Milliseconds(1250));
  EXPECT_TRUE(MayRetry(status));
  EXPECT_EQ(RetryAfter(status), absl::Milliseconds(1250));
  EXPECT_EQ(RetryAfter(absl::OkStatus()), absl::ZeroDuration());
}

}  // namespace
}  // namespace lmserve
