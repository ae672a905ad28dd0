// SPDX-License-Identifier: Apache-2.0
#include "server/rpc/wire.h"

#include <grpcpp/support/slice.h>

#include <string>
#include <vector>

#include "gtest/gtest.h"
#include "lm/v1/language_model.pb.h"
#include "server/admission/budget.h"
#include "tests/server/small_store.h"

namespace lmserve {
namespace {

using lm::v1::ScoreRequest;

// Returns a buffer with the bytes in slices of a given size.
grpc::ByteBuffer Buffer(const std::string& bytes, size_t slice_size = 1000) {
  std::vector<grpc::Slice> slices;
  for (size_t i = 0; i < bytes.size(); i += slice_size) {
    slices.emplace_back(bytes.substr(i, slice_size));
  }
  return grpc::ByteBuffer(slices.data(), slices.size());
}

TEST(ReadRequestTest, InOneSliceOrMany) {
  const ScoreRequest sent = Parse<ScoreRequest>(
      "model: 'tiny' texts { words { words: ['the', 'cat'] } } include_end: "
      "false");
  for (size_t slice_size : {1, 3, 1000}) {
    Budget budget(1000);
    RequestReader reader(budget);
    ScoreRequest received;
    ASSERT_TRUE(ReadRequest(Buffer(sent.SerializeAsString(), slice_size),
                            &reader, &received)
                    .ok());
    EXPECT_EQ(received.DebugString(), sent.DebugString());
    EXPECT_EQ(budget.taken(), sent.ByteSizeLong());
  }
}

// gRPC passes no bytes if the client cancels before its message is complete.
TEST(ReadRequestTest, ACallWithoutAMessageIsCancelled) {
  Budget budget(1000);
  RequestReader reader(budget);
  ScoreRequest request;
  EXPECT_EQ(ReadRequest(grpc::ByteBuffer(), &reader, &request).code(),
            absl::StatusCode::kCancelled);
  const grpc::Slice empty;
  EXPECT_TRUE(ReadRequest(grpc::ByteBuffer(&empty, 1), &reader, &request).ok())
      << "a message without fields has no bytes";
}

TEST(SerializeMessageTest, CanBeParsed) {
  Budget budget(1000);
  RequestReader reader(budget);
  const ScoreRequest sent = Parse<ScoreRequest>("model: 'tiny'");
  grpc::ByteBuffer buffer;
  SerializeMessage(sent, &buffer);
  ScoreRequest received;
  ASSERT_TRUE(ReadRequest(buffer, &reader, &received).ok());
  EXPECT_EQ(received.model(), "tiny");
  SerializeMessage(ScoreRequest(), &buffer);  // replaces the old contents
  ASSERT_TRUE(ReadRequest(buffer, &reader, &received).ok());
  EXPECT_EQ(received.model(), "");
}

}  // namespace
}  // namespace lmserve
