// SPDX-License-Identifier: Apache-2.0
#include "server/connections/http2_guard.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <string>

#include "absl/strings/str_cat.h"

namespace lmserve {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

// Frame types, flags and errors of RFC 9113.
enum Type : uint32_t {
  kData,
  kHeaders,
  kPriority,
  kReset,
  kSettings,
  kPush,
  kPing,
  kGoAway,
  kWindowUpdate,
  kContinuation
};
constexpr int kEndStream = 1, kAck = 1, kEndHeaders = 4;
constexpr uint32_t kHighestStream = 0x7fffffff;
constexpr uint32_t kFlowControlError = 3;
constexpr uint32_t kRefusedStream = 7, kCancel = 8, kEnhanceYourCalm = 11;

const char kPreface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

std::string Number(size_t bytes, uint32_t number) {
  std::string text;
  while (bytes-- > 0) text.push_back(static_cast<char>(number >> (8 * bytes)));
  return text;
}

std::string Frame(Type type, int flags, uint32_t stream,
                  const std::string& payload = "") {
  return absl::StrCat(Number(3, payload.size()), Number(1, type),
                      Number(1, flags), Number(4, stream), payload);
}

std::string Window(uint32_t stream, uint32_t bytes) {
  return Frame(kWindowUpdate, 0, stream, Number(4, bytes));
}

std::string InitialWindow(uint32_t bytes) {
  return Frame(kSettings, 0, 0, Number(2, 4) + Number(4, bytes));
}

std::string Reset(uint32_t stream, uint32_t error) {
  return Frame(kReset, 0, stream, Number(4, error));
}

class Http2GuardTest : public testing::Test {
 protected:
  Http2Guard& guard() {
    if (guard_ == nullptr) {
      ticket_ = table_->Enter("client");
      guard_ = std::make_unique<Http2Guard>(limits_, ticket_.client());
    }
    return *guard_;
  }

  absl::Status FromClient(const std::string& bytes) {
    to_server_.clear();
    to_client_.clear();
    return guard().FromClient(bytes, now_, &to_server_, &to_client_);
  }
  void FromServer(const std::string& bytes) {
    to_client_.clear();
    guard().FromServer(bytes, &to_client_);
  }
  void Begin() {
    ASSERT_TRUE(FromClient(kPreface + Frame(kSettings, 0, 0)).ok());
    FromServer(Frame(kSettings, 0, 0));
  }
  milliseconds Pause() const { return ticket_.client().Pause(now_); }
  void LimitStreams(uint64_t streams) {
    table_ = std::make_unique<ClientTable>(
        ClientLimits{.streams_per_client = streams});
  }

  Http2Limits limits_;
  std::unique_ptr<ClientTable> table_ = std::make_unique<ClientTable>(
      ClientLimits{.control_frames_per_second = 100});
  ClientTable::Ticket ticket_;
  std::unique_ptr<Http2Guard> guard_;
  Http2Guard::Clock::time_point now_ = Http2Guard::Clock::now();
  std::string to_server_, to_client_;
};

TEST_F(Http2GuardTest, PassesOnWhatIsInOrder) {
  const std::string call = absl::StrCat(
      kPreface, Frame(kSettings, 0, 0, std::string(12, 's')),
      Frame(kHeaders, kEndHeaders, 1, "headers"), Frame(kData, 0, 1, "message"),
      Frame(kWindowUpdate, 0, 0, "four"), Frame(kData, kEndStream, 1));
  ASSERT_TRUE(FromClient(call).ok());
  EXPECT_EQ(to_server_, call);
  EXPECT_EQ(to_client_, "");
  EXPECT_EQ(guard().open_streams(), 1u);
  const std::string answer = absl::StrCat(
      Frame(kSettings, 0, 0), Frame(kHeaders, kEndHeaders, 1, "200"),
      Frame(kData, 0, 1, std::string(100'000, 'd')),
      Frame(kHeaders, kEndHeaders | kEndStream, 1, "trailers"));
  FromServer(answer);
  EXPECT_EQ(to_client_, answer);
  EXPECT_EQ(guard().open_streams(), 0u);
}

TEST_F(Http2GuardTest, TheCutOfTheBytesDoesNotMatter) {
  std::string bytes = kPreface;
  std::mt19937 random(1);
  for (uint32_t stream = 1; stream < 40; stream += 2) {
    absl::StrAppend(
        &bytes, Frame(kHeaders, 0, stream, "begin"),
        Frame(kContinuation, kEndHeaders, stream, "end"),
        Frame(kData, kEndStream, stream, std::string(random() % 300, 'x')));
  }
  for (int trial = 0; trial < 100; ++trial) {
    Http2Guard guard(limits_, (ticket_ = table_->Enter("a")).client());
    std::string passed, to_client;
    for (size_t i = 0; i < bytes.size();) {
      const size_t size = 1 + random() % 30;
      ASSERT_TRUE(
          guard.FromClient(bytes.substr(i, size), now_, &passed, &to_client)
              .ok());
      i += size;
    }
    EXPECT_EQ(passed, bytes);
    EXPECT_EQ(guard.open_streams(), 20u);
  }
}

TEST_F(Http2GuardTest, RefusesOtherProtocols) {
  EXPECT_FALSE(FromClient("GET / HTTP/1.1\r\n").ok());
  EXPECT_EQ(to_server_, "");
}

TEST_F(Http2GuardTest, EndsAConnectionWithLongHeaders) {
  Begin();
  ASSERT_TRUE(FromClient(Frame(kHeaders, 0, 1, std::string(16'000, 'h'))).ok());
  ASSERT_TRUE(
      FromClient(Frame(kContinuation, 0, 1, std::string(16'000, 'h'))).ok());
  EXPECT_FALSE(
      FromClient(Frame(kContinuation, 0, 1, std::string(16'000, 'h'))).ok());
  EXPECT_EQ(to_client_, Frame(kGoAway, 0, 0,
                              absl::StrCat(Number(4, kHighestStream),
                                           Number(4, kEnhanceYourCalm),
                                           "the headers are too long")));
}

TEST_F(Http2GuardTest, EndsAConnectionWithManyContinuations) {
  Begin();
  ASSERT_TRUE(FromClient(Frame(kHeaders, 0, 1)).ok());
  for (int i = 0; i < 15; ++i) {
    ASSERT_TRUE(FromClient(Frame(kContinuation, 0, 1)).ok()) << i;
  }
  EXPECT_FALSE(FromClient(Frame(kContinuation, 0, 1)).ok());
}

TEST_F(Http2GuardTest, EndsAConnectionWhoseHeadersTakeTooLong) {
  Begin();
  ASSERT_TRUE(FromClient(Frame(kHeaders, 0, 1)).ok());
  now_ += seconds(9);
  EXPECT_TRUE(guard().CheckTimes(now_, &to_server_, &to_client_).ok());
  now_ += seconds(2);
  EXPECT_FALSE(guard().CheckTimes(now_, &to_server_, &to_client_).ok());
}

TEST_F(Http2GuardTest, EndsAConnectionWithFramesOutOfOrder) {
  for (const std::string& bytes :
       {Frame(kHeaders, 0, 1) + Frame(kData, 0, 1),
        Frame(kHeaders, 0, 1) + Frame(kContinuation, kEndHeaders, 3),
        Frame(kContinuation, kEndHeaders, 1), Frame(kPush, 0, 1),
        Frame(kSettings, 0, 0, std::string(20'000, 's'))}) {
    guard_ = nullptr;
    Begin();
    EXPECT_FALSE(FromClient(bytes).ok());
  }
}

TEST_F(Http2GuardTest, RefusesStreamsBeyondTheLimitOfTheClient) {
  LimitStreams(2);
  Begin();
  const std::string open = absl::StrCat(Frame(kHeaders, kEndHeaders, 1),
                                        Frame(kHeaders, kEndHeaders, 3));
  ASSERT_TRUE(FromClient(open).ok());
  EXPECT_EQ(to_server_, open);
  // The server must see the headers, which change its table of headers.
  const std::string third = Frame(kHeaders, kEndHeaders, 5);
  ASSERT_TRUE(FromClient(third).ok());
  EXPECT_EQ(to_server_, third + Reset(5, kCancel));
  EXPECT_EQ(to_client_, Reset(5, kRefusedStream));
  EXPECT_EQ(guard().refused_streams(), 1u);
  FromServer(Frame(kHeaders, kEndHeaders | kEndStream, 1));
  ASSERT_TRUE(FromClient(Frame(kHeaders, kEndHeaders, 7)).ok());
  EXPECT_EQ(to_client_, "");
}

TEST_F(Http2GuardTest, CountsTheStreamsOfAllConnectionsOfAClient) {
  LimitStreams(2);
  Begin();
  ASSERT_TRUE(FromClient(Frame(kHeaders, kEndHeaders, 1)).ok());
  const ClientTable::Ticket ticket = table_->Enter("client");
  std::string to_server, to_client;
  {
    Http2Guard other(limits_, ticket.client());
    ASSERT_TRUE(other
                    .FromClient(kPreface + Frame(kHeaders, kEndHeaders, 1),
                                now_, &to_server, &to_client)
                    .ok());
    ASSERT_TRUE(FromClient(Frame(kHeaders, kEndHeaders, 3)).ok());
    EXPECT_EQ(to_client_, Reset(3, kRefusedStream));
  }
  // Its streams ended with the other connection.
  ASSERT_TRUE(FromClient(Frame(kHeaders, kEndHeaders, 5)).ok());
  EXPECT_EQ(to_client_, "");
}

TEST_F(Http2GuardTest, OwnFramesWaitForTheEndOfAFrameOfTheServer) {
  LimitStreams(1);
  Begin();
  FromServer(Frame(kData, 0, 1, "half").substr(0, 11));
  ASSERT_TRUE(FromClient(Frame(kHeaders, kEndHeaders, 1) +
                         Frame(kHeaders, kEndHeaders, 3))
                  .ok());
  EXPECT_EQ(to_client_, "");
  FromServer("lf");
  EXPECT_EQ(to_client_, "lf" + Reset(3, kRefusedStream));
  // Nothing may come between the frames of headers.
  FromServer(Frame(kHeaders, 0, 1));
  ASSERT_TRUE(FromClient(Frame(kHeaders, kEndHeaders, 5)).ok());
  EXPECT_EQ(to_client_, "");
  const std::string rest = Frame(kContinuation, kEndHeaders, 1);
  FromServer(rest);
  EXPECT_EQ(to_client_, rest + Reset(5, kRefusedStream));
}

TEST_F(Http2GuardTest, TheSettingsOfTheServerComeFirst) {
  LimitStreams(0);
  ASSERT_TRUE(FromClient(kPreface + Frame(kHeaders, kEndHeaders, 1)).ok());
  EXPECT_EQ(to_client_, "");
  FromServer(Frame(kSettings, 0, 0));
  EXPECT_EQ(to_client_, Frame(kSettings, 0, 0) + Reset(1, kRefusedStream));
}

TEST_F(Http2GuardTest, EndsStreamsWithoutAMessage) {
  Begin();
  ASSERT_TRUE(FromClient(Frame(kHeaders, kEndHeaders, 1) +
                         Frame(kHeaders, kEndHeaders, 3) +
                         Frame(kHeaders, kEndHeaders | kEndStream, 5) +
                         Frame(kData, 0, 3, "message"))
                  .ok());
  now_ += seconds(61);
  to_server_.clear();
  EXPECT_TRUE(guard().CheckTimes(now_, &to_server_, &to_client_).ok());
  EXPECT_EQ(to_server_, Reset(1, kCancel));
  EXPECT_EQ(to_client_, Reset(1, kCancel));
  EXPECT_EQ(guard().open_streams(), 2u);
  now_ += std::chrono::minutes(10);
  to_server_.clear();
  EXPECT_TRUE(guard().CheckTimes(now_, &to_server_, &to_client_).ok());
  EXPECT_EQ(to_server_, Reset(3, kCancel));
  EXPECT_EQ(guard().open_streams(), 1u);  // waits for the server
}

TEST_F(Http2GuardTest, SlowsDownFloods) {
  for (const std::string& frame :
       {Reset(1, kCancel), Frame(kPing, 0, 0, "12345678"), Frame(kData, 0, 1),
        Frame(kPriority, 0, 1, "12345"), Frame(static_cast<Type>(77), 0, 0),
        Frame(kSettings, 0, 0)}) {
    guard_ = nullptr;
    ticket_ = ClientTable::Ticket();
    table_ = std::make_unique<ClientTable>(
        ClientLimits{.control_frames_per_second = 100});
    Begin();
    EXPECT_EQ(Pause(), milliseconds(0));
    for (int i = 0; i < 200 && FromClient(frame).ok(); ++i) {
    }
    EXPECT_GE(Pause(), milliseconds(900));
    EXPECT_LE(Pause(), seconds(2));
    now_ += Pause();
    EXPECT_EQ(Pause(), milliseconds(0));
  }
}

TEST_F(Http2GuardTest, SlowsDownFramesOfEndedStreams) {
  Begin();
  ASSERT_TRUE(
      FromClient(Frame(kHeaders, kEndHeaders, 9) + Reset(9, kCancel)).ok());
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(FromClient(Frame(kHeaders, kEndHeaders, 7) +
                           Frame(kHeaders, kEndHeaders, 9))
                    .ok());
  }
  EXPECT_GE(Pause(), seconds(1));
}

TEST_F(Http2GuardTest, EndsTheConnectionsOfALongFlood) {
  Begin();
  const ClientTable::Ticket ticket = table_->Enter("client");
  Http2Guard other(limits_, ticket.client());
  std::string to_server, to_client;
  ASSERT_TRUE(other.FromClient(kPreface, now_, &to_server, &to_client).ok());
  const std::string ping = Frame(kPing, 0, 0, "12345678");
  int pings = 0;
  while (FromClient(ping).ok()) ASSERT_LT(++pings, 400);
  EXPECT_GT(pings, 215);  // 25 at once, and for two seconds of a pause
  EXPECT_THAT(to_client_, testing::HasSubstr("too many control frames"));
  EXPECT_EQ(Pause(), seconds(2));
  // Another connection of the client has to wait, but is not ended.
  EXPECT_TRUE(other.FromClient(ping, now_, &to_server, &to_client).ok());
  EXPECT_TRUE(other.FromClient(ping, now_, &to_server, &to_client).ok());
}

TEST_F(Http2GuardTest, EndsAConnectionThatDoesNotStopAFlood) {
  Begin();
  const auto begin = now_;
  while (FromClient(Frame(kPing, 0, 0, "12345678")).ok()) {
    ASSERT_LT(now_ - begin, seconds(5));
    now_ += Pause();
  }
  EXPECT_GE(now_ - begin, seconds(3));
}

std::string MessageHeader(uint32_t size) {
  return absl::StrCat(Number(1, 0), Number(4, size));
}

// What counts for a frame of data beside its length, if gRPC may have read it
// together with others.
constexpr uint64_t kBuffer = kGrpcReadBytes;

class UnreadMessagesTest : public Http2GuardTest {
 protected:
  void LimitBytes(uint64_t bytes) {
    table_ = std::make_unique<ClientTable>(
        ClientLimits{.unread_bytes_per_client = bytes});
    Begin();
    FromServer(Window(0, 1 << 30) + InitialWindow(1 << 30));
  }
  // Sends data on a stream. Returns whether the stream goes on.
  bool Send(uint32_t stream, const std::string& data, int flags = 0) {
    EXPECT_TRUE(FromClient(Frame(kData, flags, stream, data)).ok());
    return to_client_.empty();
  }
  bool Open(uint32_t stream) {
    EXPECT_TRUE(FromClient(Frame(kHeaders, kEndHeaders, stream)).ok());
    return to_client_.empty();
  }

  const std::string message_ = MessageHeader(3'000) + std::string(3'000, 'm');
  const std::string part_ = MessageHeader(100'000) + std::string(4'000, 'm');
};

TEST_F(UnreadMessagesTest, TheOnlyMessageOfACallIsRead) {
  LimitBytes(kBuffer + 10'000);
  for (uint32_t stream = 1; stream < 40; stream += 2) {
    ASSERT_TRUE(Open(stream));
    ASSERT_TRUE(Send(stream, message_.substr(0, 2'000)));
    ASSERT_TRUE(Send(stream, message_.substr(2'000), kEndStream));
  }
}

TEST_F(UnreadMessagesTest, AnswersShowThatMessagesWereRead) {
  LimitBytes(kBuffer + 10'000);
  ASSERT_TRUE(Open(1));
  const std::string twice = message_ + message_;
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(Send(1, twice.substr(0, 4'000)));
    ASSERT_TRUE(Send(1, twice.substr(4'000)));
    FromServer(Frame(i == 0 ? kHeaders : kData, kEndHeaders, 1, "answer"));
  }
  // Without answers they are not.
  int messages = 0;
  while (Send(1, message_)) ASSERT_LT(++messages, 10);
  EXPECT_EQ(messages, 3);
  EXPECT_EQ(to_client_, Reset(1, kEnhanceYourCalm));
  EXPECT_EQ(to_server_, Reset(1, kCancel) + Frame(kData, 0, 1, message_));
}

TEST_F(UnreadMessagesTest, MessagesBeforeTheEndOfAStreamAreNotRead) {
  LimitBytes(3 * kBuffer);
  int streams = 0;
  for (uint32_t stream = 1;; stream += 2) {
    ASSERT_TRUE(Open(stream));
    if (!Send(stream, message_) || !Send(stream, message_, kEndStream)) break;
    ASSERT_LT(++streams, 10);
  }
  EXPECT_EQ(streams, 2);
}

TEST_F(UnreadMessagesTest, UnfinishedMessagesStayWhileAnswersCome) {
  LimitBytes(kBuffer + 10'000);
  ASSERT_TRUE(Open(1));
  ASSERT_TRUE(Send(1, message_ + part_));
  FromServer(Frame(kHeaders, kEndHeaders, 1, "answer"));
  EXPECT_FALSE(Send(1, std::string(4'000, 'm')));
}

TEST_F(UnreadMessagesTest, TheEndOfAStreamMakesRoom) {
  LimitBytes(3 * kBuffer);
  ASSERT_TRUE(Open(1) && Open(3) && Open(5));
  EXPECT_TRUE(Send(1, part_));
  EXPECT_TRUE(Send(3, part_));
  EXPECT_FALSE(Send(5, part_));
  ASSERT_TRUE(FromClient(Reset(3, kCancel)).ok());
  ASSERT_TRUE(Open(7));
  EXPECT_TRUE(Send(7, part_));
}

// A byte keeps the whole buffer, which other frames may have filled.
TEST_F(UnreadMessagesTest, CountsWhatWasReadTogether) {
  LimitBytes(21 * kBuffer);
  ASSERT_TRUE(Open(1));
  ASSERT_TRUE(Send(1, MessageHeader(1'000)));
  const std::string other = Frame(kData, 0, 99, std::string(kBuffer, 'x'));
  int bytes = 0;
  while (Send(1, "x")) {
    ASSERT_LT(++bytes, 30);
    ASSERT_TRUE(FromClient(other).ok());
  }
  EXPECT_EQ(bytes, 20);
  // Without others, many fit.
  ASSERT_TRUE(Open(101));
  ASSERT_TRUE(Send(101, MessageHeader(10'000)));
  for (int i = 0; i < 1'000; ++i) ASSERT_TRUE(Send(101, "x"));
}

TEST_F(Http2GuardTest, EndsAConnectionWithDataAfterTheEndOfAStream) {
  Begin();
  ASSERT_TRUE(
      FromClient(Frame(kHeaders, kEndHeaders, 1) + Frame(kData, kEndStream, 1))
          .ok());
  EXPECT_FALSE(FromClient(Frame(kData, kEndStream, 1)).ok());
}

// Flow control, RFC 9113, section 5.2.
class FlowControlTest : public Http2GuardTest {
 protected:
  void SetUp() override {
    Begin();
    ASSERT_TRUE(FromClient(Frame(kHeaders, kEndHeaders, 1) +
                           Frame(kHeaders, kEndHeaders, 3))
                    .ok());
  }
  absl::Status Send(uint32_t stream, size_t bytes) {
    return FromClient(Frame(kData, 0, stream, std::string(bytes, 'x')));
  }
};

TEST_F(FlowControlTest, EndsAConnectionThatExceedsTheWindowOfAStream) {
  FromServer(Window(0, 1'000'000));
  EXPECT_TRUE(Send(1, 65'535).ok());
  EXPECT_TRUE(Send(3, 65'535).ok());
  FromServer(Window(3, 100));
  EXPECT_TRUE(Send(3, 100).ok());
  EXPECT_TRUE(Send(1, 0).ok());
  EXPECT_FALSE(Send(1, 1).ok());
  EXPECT_EQ(to_client_,
            Frame(kGoAway, 0, 0,
                  Number(4, kHighestStream) + Number(4, kFlowControlError) +
                      "more data than the window permits"));
}

TEST_F(FlowControlTest, EndsAConnectionThatExceedsItsWindow) {
  EXPECT_TRUE(Send(1, 40'000).ok());
  EXPECT_TRUE(Send(3, 25'535).ok());
  FromServer(Window(0, 10));
  EXPECT_TRUE(Send(3, 10).ok());
  EXPECT_FALSE(Send(3, 1).ok());
}

TEST_F(FlowControlTest, DataOfEndedStreamsCounts) {
  FromServer(Frame(kHeaders, kEndHeaders | kEndStream, 1));
  EXPECT_TRUE(Send(1, 65'535).ok());
  EXPECT_FALSE(Send(1, 1).ok());
}

TEST_F(FlowControlTest, ALargerInitialWindowHoldsAtOnce) {
  FromServer(Window(0, 1'000'000) + InitialWindow(100'000));
  EXPECT_TRUE(Send(1, 100'000).ok());
  ASSERT_TRUE(FromClient(Frame(kHeaders, kEndHeaders, 5)).ok());
  EXPECT_TRUE(Send(5, 100'000).ok());
  EXPECT_FALSE(Send(5, 1).ok());
}

TEST_F(FlowControlTest, ASmallerInitialWindowHoldsFromItsAcknowledgmentOn) {
  const std::string ack = Frame(kSettings, kAck, 0);
  ASSERT_TRUE(FromClient(ack).ok());  // of the server's first settings
  FromServer(InitialWindow(1'000) + InitialWindow(50'000) +
             InitialWindow(2'000));
  EXPECT_TRUE(Send(1, 10'000).ok());
  ASSERT_TRUE(FromClient(ack).ok());
  EXPECT_TRUE(Send(1, 40'000).ok());  // 50,000 in all
  ASSERT_TRUE(FromClient(ack + ack).ok());
  EXPECT_TRUE(Send(3, 2'000).ok());
  EXPECT_FALSE(Send(3, 1).ok());
}

// The guard then used memory that was freed.
TEST_F(FlowControlTest, SettingsCanBeAcknowledgedBeforeTheyHaveCome) {
  const std::string ack = Frame(kSettings, kAck, 0);
  ASSERT_TRUE(FromClient(ack).ok());  // of the server's first settings
  const std::string settings = InitialWindow(100'000);
  for (size_t i = 0; i < 100; ++i) {
    const size_t cut = i % settings.size();
    FromServer(settings.substr(0, cut));
    ASSERT_TRUE(FromClient(ack).ok());
    FromServer(settings.substr(cut));
    now_ += seconds(1);
  }
  FromServer(Window(0, 1'000'000));
  EXPECT_TRUE(Send(1, 100'000).ok());
}

// Clients measure the bandwidth with pings while they get answers.
TEST_F(Http2GuardTest, ReactionsToTheServerAreFree) {
  Begin();
  for (int i = 0; i < 1'000; ++i) {
    FromServer(absl::StrCat(Frame(kData, 0, 1, "answer"),
                            Frame(kPing, 0, 0, "12345678"),
                            Frame(kSettings, 0, 0)));
    ASSERT_TRUE(FromClient(absl::StrCat(Frame(kPing, 0, 0, "87654321"),
                                        Frame(kPing, kAck, 0, "12345678"),
                                        Frame(kSettings, kAck, 0)))
                    .ok());
  }
  EXPECT_EQ(Pause(), milliseconds(0));
}

// A client of gRPC updates two windows with each call. However many calls it
// makes, it does not wait.
TEST_F(Http2GuardTest, WindowUpdatesOfCallsAreFree) {
  Begin();
  for (uint32_t stream = 1; stream < 20'000; stream += 2) {
    ASSERT_TRUE(FromClient(absl::StrCat(Frame(kHeaders, kEndHeaders, stream),
                                        Window(stream, 5),
                                        Frame(kData, kEndStream, stream,
                                              std::string("\0\0\0\0\1x", 6))))
                    .ok());
    FromServer(absl::StrCat(Frame(kHeaders, kEndHeaders, stream),
                            Frame(kData, 0, stream, "answer"),
                            Frame(kHeaders, kEndHeaders | kEndStream, stream)));
    ASSERT_TRUE(FromClient(Window(0, 6) + Window(stream, 6)).ok());
  }
  EXPECT_EQ(Pause(), milliseconds(0));
  // More than that costs something.
  for (int i = 0; i < 2'000; ++i) ASSERT_TRUE(FromClient(Window(0, 1)).ok());
  EXPECT_GT(Pause(), milliseconds(0));
}

// gRPC learns of the end of a stream only after a frame that has begun.
TEST_F(Http2GuardTest, EndsAConnectionThatHoldsUpTheEndOfAStream) {
  Begin();
  ASSERT_TRUE(
      FromClient(absl::StrCat(Frame(kHeaders, kEndHeaders, 1),
                              Frame(kHeaders, kEndHeaders, 3),
                              Frame(kData, 0, 3, "message").substr(0, 12)))
          .ok());
  now_ += seconds(61);
  EXPECT_TRUE(guard().CheckTimes(now_, &to_server_, &to_client_).ok());
  EXPECT_FALSE(guard().CheckTimes(now_, &to_server_, &to_client_).ok());
}

TEST_F(Http2GuardTest, SlowsDownShortFramesOfData) {
  Begin();
  ASSERT_TRUE(FromClient(Frame(kHeaders, kEndHeaders, 1) +
                         Frame(kData, 0, 1, MessageHeader(10'000)))
                  .ok());
  for (int i = 0; i < 800; ++i) {
    ASSERT_TRUE(FromClient(Frame(kData, 0, 1, "x")).ok());
  }
  EXPECT_GE(Pause(), milliseconds(900));
}

TEST_F(Http2GuardTest, SlowsDownStreamsOfEmptyMessages) {
  Begin();
  std::string messages;
  for (int i = 0; i < 300; ++i) messages += MessageHeader(0);
  ASSERT_TRUE(
      FromClient(Frame(kHeaders, kEndHeaders, 1) + Frame(kData, 0, 1, messages))
          .ok());
  EXPECT_GT(Pause(), milliseconds(0));
}

TEST_F(Http2GuardTest, DoesNotSlowDownCallsWithEmptyRequests) {
  Begin();
  for (uint32_t stream = 1; stream < 2'000; stream += 2) {
    ASSERT_TRUE(FromClient(Frame(kHeaders, kEndHeaders, stream, "headers") +
                           Frame(kData, kEndStream, stream, MessageHeader(0)))
                    .ok());
    FromServer(Frame(kHeaders, kEndHeaders | kEndStream, stream));
  }
  EXPECT_EQ(Pause(), milliseconds(0));
}

TEST_F(Http2GuardTest, DoesNotSlowDownCalls) {
  Begin();
  FromServer(Window(0, 1 << 30));
  for (uint32_t stream = 1; stream < 20'000; stream += 2) {
    ASSERT_TRUE(FromClient(Frame(kHeaders, kEndHeaders, stream, "headers") +
                           Frame(kData, kEndStream, stream, "message"))
                    .ok());
    FromServer(Frame(kHeaders, kEndHeaders | kEndStream, stream));
  }
  EXPECT_EQ(Pause(), milliseconds(0));
}

// Clients that make a call again, because it came after the last stream of a
// GOAWAY frame, may hang.
TEST_F(Http2GuardTest, RefusesStreamsAfterTheLastOneOfTheServer) {
  const std::string goaway =
      Frame(kGoAway, 0, 0, Number(4, 1) + Number(4, 0) + "reason");
  for (size_t cut = 1; cut < goaway.size(); ++cut) {
    guard_ = nullptr;
    Begin();
    ASSERT_TRUE(FromClient(Frame(kHeaders, kEndHeaders, 1) +
                           Frame(kHeaders, kEndHeaders, 3))
                    .ok());
    FromServer(goaway.substr(0, cut));
    std::string to_client = to_client_;
    FromServer(goaway.substr(cut));
    EXPECT_EQ(to_client + to_client_,
              Frame(kGoAway, 0, 0,
                    Number(4, kHighestStream) + Number(4, 0) + "reason") +
                  Reset(3, kRefusedStream));
    EXPECT_EQ(guard().open_streams(), 1u);
    ASSERT_TRUE(FromClient(Frame(kHeaders, kEndHeaders, 5)).ok());
    EXPECT_EQ(to_client_, Reset(5, kRefusedStream));
  }
}

TEST_F(Http2GuardTest, RefusesStreamsDuringADrain) {
  Begin();
  ASSERT_TRUE(FromClient(Frame(kHeaders, kEndHeaders, 1)).ok());
  guard().RefuseStreams(&to_client_);
  EXPECT_EQ(to_client_,
            Frame(kGoAway, 0, 0, Number(4, kHighestStream) + Number(4, 0)));
  ASSERT_TRUE(FromClient(Frame(kHeaders, kEndHeaders, 3)).ok());
  EXPECT_EQ(to_client_, Reset(3, kRefusedStream));
  EXPECT_EQ(guard().open_streams(), 1u);
  const std::string message = Frame(kData, kEndStream, 1, "message");
  ASSERT_TRUE(FromClient(message).ok());
  EXPECT_EQ(to_server_, message);
}

}  // namespace
}  // namespace lmserve
