// SPDX-License-Identifier: Apache-2.0
#include "remote_store/transport.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "remote_store/directory_transport.h"
#include "remote_store/download.h"
#include "tests/remote_store/remote_testing.h"

namespace lmserve {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

std::string ReadFrom(Transport& transport, const std::string& path,
                     uint64_t offset) {
  std::string bytes;
  const absl::Status status =
      transport.Read(path, offset, [&](absl::string_view piece) {
        bytes.append(piece.data(), piece.size());
        return absl::OkStatus();
      });
  return status.ok() ? bytes : std::string(status.message());
}

class DirectoryTransportTest : public testing::Test {
 protected:
  void Write(const std::string& path, const std::string& bytes) {
    WriteBytes(source_.File("file"), bytes);
    const absl::Status status = transport_.Write(source_.File("file"), path);
    ASSERT_TRUE(status.ok()) << status;
  }

  const TemporaryDirectory source_;
  const TemporaryDirectory root_;
  DirectoryTransport transport_{root_.File("store")};
};

TEST_F(DirectoryTransportTest, WritesListsReadsDeletes) {
  EXPECT_THAT(*transport_.List(""), IsEmpty());
  Write("m/2/b", "12345");
  Write("m/2/a", "");
  Write("n/1/c", "x");
  EXPECT_THAT(*transport_.List(""),
              ElementsAre(RemoteFile{"m/2/a", 0}, RemoteFile{"m/2/b", 5},
                          RemoteFile{"n/1/c", 1}));
  EXPECT_THAT(*transport_.List("m/2"),
              ElementsAre(RemoteFile{"m/2/a", 0}, RemoteFile{"m/2/b", 5}));
  EXPECT_THAT(*transport_.List("m/3"), IsEmpty());
  EXPECT_EQ(ReadFrom(transport_, "m/2/b", 0), "12345");
  EXPECT_EQ(ReadFrom(transport_, "m/2/b", 3), "45");
  EXPECT_EQ(ReadFrom(transport_, "m/2/b", 5), "");
  Write("m/2/b", "6");
  EXPECT_EQ(ReadFrom(transport_, "m/2/b", 0), "6");
  EXPECT_TRUE(transport_.Delete("m/2/b").ok());
  EXPECT_TRUE(transport_.Delete("m/2/b").ok());
  EXPECT_TRUE(transport_.Delete("m/2/a").ok());
  // No empty directory is left.
  EXPECT_FALSE(std::filesystem::exists(root_.File("store/m")));
  EXPECT_THAT(*transport_.List(""), ElementsAre(RemoteFile{"n/1/c", 1}));
}

TEST_F(DirectoryTransportTest, NamesWhatDoesNotExist) {
  const absl::Status status = transport_.Read(
      "m/1/x", 0, [](absl::string_view) { return absl::OkStatus(); });
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(status.message(), HasSubstr("m/1/x"));
}

TEST_F(DirectoryTransportTest, ReadsLargeFilesFromAnyByte) {
  std::string bytes(3 << 20, '\0');
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 7);
  Write("large", bytes);
  for (size_t offset : {size_t{0}, size_t{1}, size_t{1 << 20},
                        size_t{(1 << 20) + 1}, bytes.size() - 1}) {
    EXPECT_TRUE(ReadFrom(transport_, "large", offset) == bytes.substr(offset));
  }
}

// Fails a number of times and then succeeds.
class FailingTransport : public Transport {
 public:
  FailingTransport(int failures, absl::Status error)
      : failures_(failures), error_(std::move(error)) {}

  absl::StatusOr<std::vector<RemoteFile>> List(const std::string&) override {
    absl::Status status = Fail();
    if (!status.ok()) return status;
    return std::vector<RemoteFile>{{"a", 1}};
  }
  // Has the bytes 0123456789, and gives three of them in each attempt that
  // fails.
  absl::Status Read(const std::string&, uint64_t offset,
                    OnPiece on_piece) override {
    const absl::string_view bytes = "0123456789";
    const absl::Status status = Fail();
    const absl::Status taken =
        on_piece(bytes.substr(offset, status.ok() ? bytes.size() : 3));
    return taken.ok() ? status : taken;
  }
  absl::Status Write(const std::string&, const std::string&) override {
    return Fail();
  }
  absl::Status Delete(const std::string&) override { return Fail(); }

 private:
  absl::Status Fail() { return failures_-- > 0 ? error_ : absl::OkStatus(); }

  int failures_;
  const absl::Status error_;
};

class RetryingTransportTest : public testing::Test {
 protected:
  RetryingTransport Retrying(Transport* transport) {
    return {transport,
            {.attempts = 4,
             .first_pause = std::chrono::milliseconds(100),
             .longest_pause = std::chrono::milliseconds(300),
             .on_retry = [](const absl::Status&) {}},
            [this](std::chrono::milliseconds pause) {
              pauses_.push_back(pause.count());
              return absl::OkStatus();
            }};
  }

  std::vector<int64_t> pauses_;
};

TEST_F(RetryingTransportTest, PausesGrow) {
  FailingTransport failing(3, absl::UnavailableError("x"));
  RetryingTransport retrying = Retrying(&failing);
  EXPECT_TRUE(retrying.Write("", "").ok());
  ASSERT_EQ(pauses_.size(), 3);
  const int64_t longest[] = {100, 200, 300};
  for (int i = 0; i < 3; ++i) {
    EXPECT_GE(pauses_[i], longest[i] / 2);
    EXPECT_LE(pauses_[i], longest[i]);
  }
}

TEST_F(RetryingTransportTest, EndsAfterItsAttempts) {
  FailingTransport failing(4, absl::UnavailableError("x"));
  EXPECT_TRUE(absl::IsUnavailable(Retrying(&failing).Delete("")));
  EXPECT_EQ(pauses_.size(), 3);
}

TEST_F(RetryingTransportTest, OtherErrorsAreFinal) {
  FailingTransport failing(1, absl::NotFoundError("x"));
  EXPECT_TRUE(absl::IsNotFound(Retrying(&failing).List("").status()));
  EXPECT_THAT(pauses_, IsEmpty());
}

TEST_F(RetryingTransportTest, EachByteIsReadOnce) {
  FailingTransport failing(3, absl::UnavailableError("x"));
  RetryingTransport retrying = Retrying(&failing);
  EXPECT_EQ(ReadFrom(retrying, "", 0), "0123456789");
}

TEST_F(RetryingTransportTest, AStopEndsThePause) {
  FailingTransport failing(9, absl::UnavailableError("x"));
  RetryingTransport retrying(&failing, {}, [](std::chrono::milliseconds) {
    return absl::AbortedError("stopped");
  });
  EXPECT_TRUE(absl::IsAborted(retrying.Write("", "")));
}

TEST(DownloadTest, StopsAtTheFirstByteTooMuch) {
  FailingTransport endless(0, absl::OkStatus());
  lm::v1::ModelFile expected;
  expected.set_name("x");
  expected.set_size(9);
  const absl::Status status =
      ReadChecked(endless, "m/1/x", expected, [](absl::string_view) {
        ADD_FAILURE() << "got bytes that are too many";
        return absl::OkStatus();
      });
  EXPECT_TRUE(absl::IsDataLoss(status));
  EXPECT_THAT(status.message(), HasSubstr("expected 9 bytes, found more"));
}

TEST(DownloadTest, LeavesNoWrongFile) {
  const TemporaryDirectory directory;
  FailingTransport transport(0, absl::OkStatus());
  lm::v1::ModelFile expected;
  expected.set_name("x");
  expected.set_size(10);
  expected.set_sha256(Sha256("9876543210"));
  const std::string local = directory.File("x");
  EXPECT_TRUE(absl::IsDataLoss(
      Download(transport, "m/1/x", expected, local, 3, NoPause())));
  EXPECT_FALSE(std::filesystem::exists(local));
  expected.set_sha256(Sha256("0123456789"));
  EXPECT_TRUE(Download(transport, "m/1/x", expected, local, 3, NoPause()).ok());
  EXPECT_EQ(ReadBytes(local), "0123456789");
}

}  // namespace
}  // namespace lmserve
