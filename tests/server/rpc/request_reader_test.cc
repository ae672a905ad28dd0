// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/request_reader.h"

#include <optional>
#include <string>

#include "gmock/gmock.h"
#include "grpcpp/support/slice.h"
#include "gtest/gtest.h"
#include "lm/v1/language_model.pb.h"

namespace lmserve {
namespace {

using testing::StartsWith;

// A request with this many empty stop words, two bytes each.
grpc::ByteBuffer StopWords(int count) {
  lm::v1::GenerateRequest request;
  for (int i = 0; i < count; ++i) request.add_stop_words();
  const grpc::Slice slice(request.SerializeAsString());
  return grpc::ByteBuffer(&slice, 1);
}

TEST(RequestReaderTest, ReservesTheBytesOfASmallRequest) {
  Budget budget(1000);
  std::optional<RequestReader> reader(budget);
  lm::v1::GenerateRequest request;
  EXPECT_TRUE(reader->Read(StopWords(100), &request).ok());
  EXPECT_EQ(request.stop_words_size(), 100);
  EXPECT_EQ(budget.taken(), 200u);
  reader.reset();
  EXPECT_EQ(budget.taken(), 0u);
}

TEST(RequestReaderTest, ReservesTheMemoryOfALargeRequestUntilItIsFreed) {
  Budget budget(10'000'000);
  RequestReader reader(budget);
  const grpc::ByteBuffer bytes = StopWords(20'000);
  {
    lm::v1::GenerateRequest request;
    EXPECT_TRUE(reader.Read(bytes, &request).ok());
    EXPECT_GE(budget.taken(), request.SpaceUsedLong());
  }
  reader.OnRequestFreed(bytes);
  EXPECT_EQ(budget.taken(), 40'000u);
}

TEST(RequestReaderTest, RefusesWhatTheBudgetHasNoMemoryFor) {
  Budget budget(1'000'000);
  RequestReader reader(budget);
  lm::v1::GenerateRequest request;
  const absl::Status status = reader.Read(StopWords(20'000), &request);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()),
              StartsWith("request bytes, in memory: "));
  EXPECT_EQ(request.stop_words_size(), 0);
}

// gRPC passes no bytes if the client cancels before its message is complete.
TEST(RequestReaderTest, ACallWithoutAMessageIsCancelled) {
  Budget budget(1000);
  RequestReader reader(budget);
  lm::v1::GenerateRequest request;
  EXPECT_EQ(reader.Read(grpc::ByteBuffer(), &request).code(),
            absl::StatusCode::kCancelled);
  const grpc::Slice empty;
  EXPECT_TRUE(reader.Read(grpc::ByteBuffer(&empty, 1), &request).ok())
      << "a message without fields has no bytes";
}

TEST(RequestReaderTest, RefusesBytesThatAreNotTheRequest) {
  Budget budget(1000);
  RequestReader reader(budget);
  const grpc::Slice slice("\xff");
  lm::v1::GenerateRequest request;
  EXPECT_EQ(reader.Read(grpc::ByteBuffer(&slice, 1), &request).code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace lmserve
