// SPDX-License-Identifier: Apache-2.0
#include "remote_store/rclone_transport.h"

#include <sys/stat.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "remote_store/child_process.h"
#include "tests/remote_store/remote_testing.h"

namespace lmserve {
namespace {

using std::chrono::milliseconds;
using testing::ElementsAre;
using testing::HasSubstr;

// Runs a shell script in place of rclone, which gets rclone's arguments. The
// end to end tests have the real one.
class RcloneTransportTest : public testing::Test {
 protected:
  RcloneTransport Make(const std::string& script,
                       milliseconds stall = milliseconds(60'000),
                       Pause pause = NoPause()) {
    const std::string program = directory_.File("rclone");
    WriteBytes(program,
               absl::StrCat("#!/bin/sh\necho \"$@\" > ",
                            directory_.File("arguments"), "\n", script, "\n"));
    chmod(program.c_str(), 0755);
    return {"s3:bucket/store",
            {.program = program, .options = {"--x"}, .stall = stall},
            std::move(pause)};
  }

  const TemporaryDirectory directory_;
};

const auto kIgnore = [](absl::string_view) { return absl::OkStatus(); };

TEST_F(RcloneTransportTest, Lists) {
  RcloneTransport transport = Make(
      "echo '[{\"Path\":\"2/b\",\"Size\":7},{\"Path\":\"1/a\",\"Size\":0}]'");
  EXPECT_THAT(*transport.List("m"),
              ElementsAre(RemoteFile{"m/1/a", 0}, RemoteFile{"m/2/b", 7}));
  EXPECT_THAT(ReadBytes(directory_.File("arguments")),
              HasSubstr("s3:bucket/store/m "));
}

TEST_F(RcloneTransportTest, RefusesAListingThatIsNone) {
  for (const char* listing :
       {"", "{}", "[", "[1]", "[{\"Path\":1,\"Size\":1}]", "[{\"Path\":\"a\"}]",
        "[{\"Path\":\"a\",\"Size\":-1}]"}) {
    RcloneTransport transport = Make(absl::StrCat("echo '", listing, "'"));
    EXPECT_TRUE(absl::IsUnavailable(transport.List("").status())) << listing;
  }
}

TEST_F(RcloneTransportTest, ReadsFromAnOffset) {
  RcloneTransport transport = Make("printf 'some\\0bytes'");
  std::string bytes;
  ASSERT_TRUE(transport
                  .Read("m/1/x", 17,
                        [&](absl::string_view piece) {
                          bytes.append(piece.data(), piece.size());
                          return absl::OkStatus();
                        })
                  .ok());
  EXPECT_EQ(bytes, std::string("some\0bytes", 10));
  EXPECT_THAT(ReadBytes(directory_.File("arguments")),
              HasSubstr("cat --offset=17 s3:bucket/store/m/1/x "));
}

TEST_F(RcloneTransportTest, EndsAReadThatIsRefused) {
  RcloneTransport transport = Make("yes");
  const absl::Status status = transport.Read("m/1/x", 0, [](absl::string_view) {
    return absl::DataLossError("enough");
  });
  EXPECT_EQ(status, absl::DataLossError("enough"));
}

TEST_F(RcloneTransportTest, ExitCodes) {
  const std::pair<int, absl::StatusCode> codes[] = {
      {0, absl::StatusCode::kOk},
      {1, absl::StatusCode::kUnavailable},
      {3, absl::StatusCode::kNotFound},
      {4, absl::StatusCode::kNotFound},
      {5, absl::StatusCode::kUnavailable},
      {7, absl::StatusCode::kFailedPrecondition}};
  for (const auto& [exit_code, status] : codes) {
    RcloneTransport transport = Make(absl::StrCat("exit ", exit_code));
    EXPECT_EQ(transport.Write("/dev/null", "m/1/x").code(), status);
    EXPECT_EQ(transport.Read("m/1/x", 0, kIgnore).code(), status);
  }
  EXPECT_TRUE(Make("exit 4").Delete("m/1/x").ok());
  EXPECT_TRUE(Make("exit 3").List("m")->empty());
}

TEST_F(RcloneTransportTest, ReportsTheLastErrorWithoutTheAddress) {
  RcloneTransport transport = Make(
      "echo '{\"level\":\"error\",\"msg\":\"first\"}' >&2\n"
      "echo '{\"level\":\"error\",\"msg\":\"no s3:bucket/store/m: 403\"}' >&2\n"
      "echo '{\"level\":7,\"msg\":[],\"stats\":{\"bytes\":\"x\"}}' >&2\n"
      "echo '{\"level\":\"notice\",\"msg\":\"bye\"}' >&2\nexit 1");
  const absl::Status status = transport.Write("/dev/null", "m/1/x");
  EXPECT_EQ(status.message(), "rclone copyto m/1/x: no REMOTE/m: 403");
}

TEST_F(RcloneTransportTest, SaysThatItIsNotInstalled) {
  RcloneTransport transport("s3:b", {.program = "/nowhere/rclone"}, NoPause());
  const absl::Status status = transport.Delete("x");
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(status.message(), HasSubstr("cannot run /nowhere/rclone"));
}

TEST_F(RcloneTransportTest, EndsATransferThatStalls) {
  RcloneTransport transport =
      Make("while :; do echo '{\"stats\":{\"bytes\":5}}' >&2; sleep 0.05; done",
           milliseconds(400));
  const absl::Status status = transport.Write("/dev/null", "m/1/x");
  EXPECT_TRUE(absl::IsUnavailable(status));
  EXPECT_THAT(status.message(), HasSubstr("no progress"));
}

TEST_F(RcloneTransportTest, WaitsForATransferThatGetsOn) {
  RcloneTransport transport = Make(
      "for i in 1 2 3 4 5 6 7 8; do "
      "echo \"{\\\"stats\\\":{\\\"bytes\\\":$i}}\" >&2; sleep 0.2; done",
      milliseconds(1000));
  EXPECT_TRUE(transport.Write("/dev/null", "m/1/x").ok());
}

TEST_F(RcloneTransportTest, AStopEndsIt) {
  RcloneTransport transport =
      Make("exec sleep 100", milliseconds(60'000),
           [](milliseconds) { return absl::AbortedError("stopped"); });
  EXPECT_TRUE(absl::IsAborted(transport.Delete("x")));
}

// A child that ignores SIGTERM, and one that closes its outputs and stays.
TEST(ChildProcessTest, EndsStubbornChildren) {
  for (const char* script : {"trap '' TERM; sleep 100 & wait; wait",
                             "exec >&- 2>&-; exec sleep 100"}) {
    const Pause pause = NoPause();
    const absl::StatusOr<int> result = RunChild(
        {"sh", "-c", script}, {kIgnore, [](absl::string_view) { return false; },
                               milliseconds(200), pause});
    EXPECT_TRUE(absl::IsUnavailable(result.status()));
  }
}

TEST(ChildProcessTest, ReportsSignals) {
  const Pause pause = NoPause();
  const absl::StatusOr<int> result =
      RunChild({"sh", "-c", "kill -9 $$"},
               {kIgnore, [](absl::string_view) { return false; },
                milliseconds(60'000), pause});
  EXPECT_THAT(result.status().message(), HasSubstr("signal 9"));
}

}  // namespace
}  // namespace lmserve
