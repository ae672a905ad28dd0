// SPDX-License-Identifier: Apache-2.0
#include "command_line/standard_streams.h"

#include <unistd.h>

#include "gtest/gtest.h"

namespace lmserve {
namespace {

TEST(StandardStreamsTest, APipeIsClosedWhenItsReaderIs) {
  int pipe_ends[2];
  ASSERT_EQ(pipe(pipe_ends), 0);
  const int output = dup(STDOUT_FILENO);
  dup2(pipe_ends[1], STDOUT_FILENO);
  const bool before = StandardOutputIsClosed();
  close(pipe_ends[0]);
  const bool after = StandardOutputIsClosed();
  dup2(output, STDOUT_FILENO);
  close(output);
  close(pipe_ends[1]);
  EXPECT_FALSE(before);
  EXPECT_TRUE(after);
}

}  // namespace
}  // namespace lmserve
