// SPDX-License-Identifier: Apache-2.0
#include "server/transport/request_reader.h"

#include <optional>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "lm/v1/language_model.pb.h"

namespace lmserve {
namespace {

using testing::StartsWith;

// A request with this many empty stop words, two bytes each.
std::string StopWords(int count) {
  lm::v1::GenerateRequest request;
  for (int i = 0; i < count; ++i) request.add_stop_words();
  return request.SerializeAsString();
}

absl::Status Read(absl::string_view bytes, RequestReader* reader,
                  google::protobuf::Message* request) {
  return reader->Read({&bytes, 1}, request);
}

TEST(RequestReaderTest, ReservesTheBytesOfASmallRequest) {
  Budget budget(1000);
  std::optional<RequestReader> reader(budget);
  lm::v1::GenerateRequest request;
  EXPECT_TRUE(Read(StopWords(100), &*reader, &request).ok());
  EXPECT_EQ(request.stop_words_size(), 100);
  EXPECT_EQ(budget.taken(), 200u);
  reader.reset();
  EXPECT_EQ(budget.taken(), 0u);
}

TEST(RequestReaderTest, ReservesTheMemoryOfALargeRequestUntilItIsFreed) {
  Budget budget(10'000'000);
  RequestReader reader(budget);
  const std::string bytes = StopWords(20'000);
  {
    lm::v1::GenerateRequest request;
    EXPECT_TRUE(Read(bytes, &reader, &request).ok());
    EXPECT_GE(budget.taken(), request.SpaceUsedLong());
  }
  EXPECT_TRUE(reader.Reserve(bytes.size()).ok());
  EXPECT_EQ(budget.taken(), 40'000u);
}

TEST(RequestReaderTest, RefusesWhatTheBudgetHasNoMemoryFor) {
  Budget budget(1'000'000);
  RequestReader reader(budget);
  lm::v1::GenerateRequest request;
  const absl::Status status = Read(StopWords(20'000), &reader, &request);
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()),
              StartsWith("request bytes, in memory: "));
  EXPECT_EQ(request.stop_words_size(), 0);
}

TEST(RequestReaderTest, RefusesBytesThatAreNotTheRequest) {
  Budget budget(1000);
  RequestReader reader(budget);
  lm::v1::GenerateRequest request;
  EXPECT_EQ(Read("\xff", &reader, &request).code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace lmserve
