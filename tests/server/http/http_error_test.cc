// SPDX-License-Identifier: Apache-2.0
#include "server/http/http_error.h"

#include "gtest/gtest.h"
#include "server/call/status.h"

namespace lmserve {
namespace {

TEST(HttpErrorTest, EveryCode) {
  const struct {
    absl::Status status;
    int code;
  } cases[] = {{absl::OkStatus(), 200},
               {absl::InvalidArgumentError(""), 400},
               {absl::FailedPreconditionError(""), 400},
               {absl::OutOfRangeError(""), 400},
               {absl::UnauthenticatedError(""), 401},
               {absl::PermissionDeniedError(""), 403},
               {absl::NotFoundError(""), 404},
               {absl::AlreadyExistsError(""), 409},
               {absl::AbortedError(""), 409},
               {ResourceExhausted("", absl::Seconds(1)), 429},
               {absl::ResourceExhaustedError(""), 413},
               {absl::CancelledError(""), 499},
               {absl::UnknownError(""), 500},
               {absl::InternalError(""), 500},
               {absl::DataLossError(""), 500},
               {absl::UnimplementedError(""), 501},
               {absl::UnavailableError(""), 503},
               {absl::DeadlineExceededError(""), 504}};
  for (const auto& [status, code] : cases) {
    EXPECT_EQ(HttpCodeOf(status), code) << status;
  }
}

TEST(HttpErrorTest, TheBodyHasTheDetailsOfTheStatus) {
  EXPECT_EQ(
      ErrorJson(InvalidField("texts[2].text", "bad \"text\"")),
      R"({"error":{"code":400,"status":"INVALID_ARGUMENT",)"
      R"("message":"texts[2].text: bad \"text\"",)"
      R"("details":[{"@type":"type.googleapis.com/google.rpc.BadRequest",)"
      R"("fieldViolations":[{"field":"texts[2].text"}]}]}})");
  EXPECT_EQ(ErrorJson(ResourceExhausted("busy", absl::Milliseconds(200))),
            R"({"error":{"code":429,"status":"RESOURCE_EXHAUSTED",)"
            R"("message":"busy",)"
            R"("details":[{"@type":"type.googleapis.com/google.rpc.RetryInfo",)"
            R"("retryDelay":"0.200s"}]}})");
  EXPECT_EQ(
      ErrorJson(404, "no path"),
      R"({"error":{"code":404,"status":"NOT_FOUND","message":"no path"}})");
}

// What a client has sent is only ever a JSON string in an answer.
TEST(HttpErrorTest, QuotesTextOfOthers) {
  EXPECT_EQ(ErrorJson(absl::NotFoundError("</script>\n\xff\x1b[2J")),
            R"({"error":{"code":404,"status":"NOT_FOUND",)"
            R"("message":"</script>\\x0a\\xff\\x1b[2J"}})");
}

TEST(HttpErrorTest, SaysWhenToRetry) {
  const auto value = [](const absl::Status& status, absl::string_view name) {
    for (const HttpField& field : ErrorFields(status)) {
      if (field.name == name) return field.value;
    }
    return std::string();
  };
  const absl::Status busy = ResourceExhausted("", absl::Milliseconds(1200));
  EXPECT_EQ(value(busy, "Retry-After"), "2") << "whole seconds, rounded up";
  EXPECT_EQ(value(busy, "retry-after-ms"), "1200");
  EXPECT_EQ(value(absl::UnauthenticatedError(""), "WWW-Authenticate"),
            "Bearer");
  EXPECT_EQ(value(absl::UnimplementedError(""), "x-should-retry"), "false");
  EXPECT_EQ(value(absl::UnavailableError(""), "Retry-After"), "1");
  EXPECT_TRUE(ErrorFields(absl::ResourceExhaustedError("")).empty());
}

}  // namespace
}  // namespace lmserve
