// SPDX-License-Identifier: Apache-2.0
#include "server/telemetry/line_writer.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "tests/server/telemetry/pipe.h"

namespace lmserve {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLong(60'000);

TEST(LineWriterTest, WritesLinesInOrder) {
  const Pipe pipe;
  LineWriter writer(pipe.writer(), 1 << 20);
  std::string expected, read;
  for (int i = 0; i < 2000; ++i) {
    const std::string line = absl::StrCat("line ", i, "\n");
    expected += line;
    EXPECT_TRUE(writer.Write(line));
  }
  while (read.size() < expected.size()) read += pipe.Read();
  EXPECT_EQ(read, expected);
  EXPECT_TRUE(writer.Flush(kLong));
  EXPECT_EQ(writer.dropped(), 0u);
}

TEST(LineWriterTest, AReaderThatStallsCostsLinesAndNoTime) {
  const Pipe pipe;
  LineWriter writer(pipe.writer(), 10'000);
  const std::string line = std::string(99, 'x') + "\n";
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < 1000; ++i) writer.Write(line);
  EXPECT_LT(std::chrono::steady_clock::now() - start, milliseconds(1000));
  // The pipe, the line that is being written and the queue hold the others.
  EXPECT_GE(writer.dropped(), 1000u - 4096 / 100 - 100 - 1);
  EXPECT_FALSE(writer.Flush(milliseconds(1)));
  // The reader comes back.
  size_t read = 0;
  const uint64_t dropped = writer.dropped();
  while (read < (1000 - dropped) * line.size()) read += pipe.Read().size();
  EXPECT_TRUE(writer.Flush(kLong));
  EXPECT_TRUE(writer.Write(line));
  EXPECT_EQ(pipe.Read(), line);
  EXPECT_EQ(writer.dropped(), dropped);
}

TEST(LineWriterTest, TheEndDoesNotWaitForAReaderThatStalls) {
  const Pipe pipe;
  std::optional<LineWriter> writer(std::in_place, pipe.writer(), 1 << 20);
  for (int i = 0; i < 100; ++i) writer->Write(std::string(1000, 'x'));
  const auto start = std::chrono::steady_clock::now();
  writer.reset();
  EXPECT_LT(std::chrono::steady_clock::now() - start, milliseconds(10'000));
}

TEST(LineWriterTest, AReaderThatIsGoneCostsLines) {
  Pipe pipe;
  LineWriter writer(pipe.writer(), 1 << 20);
  pipe.CloseReader();
  for (int i = 0; i < 10; ++i) EXPECT_TRUE(writer.Write("a line\n"));
  EXPECT_TRUE(writer.Flush(kLong));
  EXPECT_EQ(writer.dropped(), 10u);
}

TEST(LineWriterTest, AFullDiskCostsLines) {
  const int full = open("/dev/full", O_WRONLY | O_CLOEXEC);
  {
    LineWriter writer(full, 1 << 20);
    writer.Write("a line\n");
    EXPECT_TRUE(writer.Flush(kLong));
    EXPECT_EQ(writer.dropped(), 1u);
  }
  close(full);
}

// The standard error of a service of systemd is a socket.
TEST(LineWriterTest, ASocketThatIsNotReadCostsLines) {
  int ends[2];
  ASSERT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  {
    LineWriter writer(ends[0], 10'000);
    const std::string line(1000, 'x');
    while (writer.Flush(milliseconds(100))) writer.Write(line);
    while (writer.dropped() == 0) writer.Write(line);
    close(ends[1]);
    EXPECT_TRUE(writer.Flush(kLong));
  }
  close(ends[0]);
}

}  // namespace
}  // namespace lmserve
