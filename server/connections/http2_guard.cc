// SPDX-License-Identifier: Apache-2.0
#include "server/connections/http2_guard.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace lmserve {
namespace {

constexpr absl::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

// Types, flags and errors of RFC 9113, sections 6 and 7.
enum FrameType : uint8_t {
  kData = 0,
  kHeaders = 1,
  kPriority = 2,
  kRstStream = 3,
  kSettings = 4,
  kPushPromise = 5,
  kPing = 6,
  kGoAway = 7,
  kWindowUpdate = 8,
  kContinuation = 9,
};
constexpr uint8_t kEndStream = 0x1;   // of DATA and HEADERS
constexpr uint8_t kPadded = 0x8;      // of DATA
constexpr uint8_t kAck = 0x1;         // of SETTINGS and PING
constexpr uint8_t kEndHeaders = 0x4;  // of HEADERS and CONTINUATION
constexpr uint32_t kHighestStream = 0x7fffffff;
constexpr uint32_t kInitialWindowSize = 4;  // of SETTINGS
constexpr uint32_t kNoError = 0;
constexpr uint32_t kProtocolError = 1;
constexpr uint32_t kFlowControlError = 3;
constexpr uint32_t kFrameSizeError = 6;
constexpr uint32_t kRefusedStream = 7;
constexpr uint32_t kCancel = 8;
constexpr uint32_t kEnhanceYourCalm = 11;

// The length that a frame may have unless the receiver permits more. gRPC
// permits more for data alone.
constexpr size_t kFrameBytes = 16 << 10;

// Headers of calls have some hundred bytes. Longer ones count as control
// frames, one for each of these.
constexpr size_t kCheapHeaders = 2 << 10;

// What a refused stream costs, in control frames, and headers of a stream that
// has ended, which gRPC reads and answers.
constexpr double kRefusalCost = 4;

// What a frame of data costs that is short and completes no message.
constexpr double kShortDataCost = 0.25;
constexpr size_t kShortData = 256;

// What an empty message costs that is not the first of its stream. Calls with
// an empty request are common, streams of them are not.
constexpr double kEmptyMessageCost = 1;

// A client measures the bandwidth with a ping at a time, so that few of those
// that the server has caused come at once.
constexpr uint64_t kMostPings = 16;

// A client that reads an answer late updates many windows at once.
constexpr uint64_t kMostWindowUpdates = 1024;

// Of a client that floods, the connections are ended that have sent at least
// this many control frames within a second.
constexpr double kFlood = 20;

void AppendNumber(std::string* out, size_t bytes, uint32_t number) {
  for (size_t i = bytes; i-- > 0;) {
    out->push_back(static_cast<char>(number >> (8 * i)));
  }
}

void AppendFrameHeader(std::string* out, size_t length, FrameType type,
                       uint32_t stream) {
  AppendNumber(out, 3, static_cast<uint32_t>(length));
  out->push_back(static_cast<char>(type));
  out->push_back(0);  // flags
  AppendNumber(out, 4, stream);
}

void AppendReset(std::string* out, uint32_t stream, uint32_t error) {
  AppendFrameHeader(out, 4, kRstStream, stream);
  AppendNumber(out, 4, error);
}

// Tells a client to open no more streams. The frame names the highest possible
// stream as the last one that was processed. A client of gRPC 1.51 retries
// streams above that number elsewhere, and its streaming calls can then hang
// for ever, past their deadline.
void AppendGoAway(std::string* out, uint32_t error, absl::string_view reason) {
  AppendFrameHeader(out, 8 + reason.size(), kGoAway, 0);
  AppendNumber(out, 4, kHighestStream);
  AppendNumber(out, 4, error);
  absl::StrAppend(out, reason);
}

uint32_t ReadNumber(const char* bytes, size_t size) {
  uint32_t number = 0;
  for (size_t i = 0; i < size; ++i) {
    number = number << 8 | static_cast<uint8_t>(bytes[i]);
  }
  return number;
}

}  // namespace

Http2Guard::Http2Guard(const Http2Limits& limits, ClientTable::Client& client)
    : limits_(limits), client_(client), preface_left_(kPreface.size()) {}

Http2Guard::~Http2Guard() {
  for (const auto& entry : streams_) {
    client_.Release(entry.second.held_bytes);
    client_.LeaveStream();
  }
}

template <typename Begin, typename Payload, typename End>
absl::Status Http2Guard::Parse(Parser& parser, absl::string_view bytes,
                               std::string* out, Begin begin, Payload payload,
                               End end) {
  while (!bytes.empty()) {
    if (parser.payload_left == 0) {
      const size_t size =
          std::min(bytes.size(), sizeof(parser.header) - parser.header_size);
      std::memcpy(parser.header + parser.header_size, bytes.data(), size);
      parser.header_size += size;
      bytes.remove_prefix(size);
      if (parser.header_size < sizeof(parser.header)) break;
      parser.header_size = 0;
      const Frame frame = {
          .length = ReadNumber(parser.header, 3),
          .type = static_cast<uint8_t>(parser.header[3]),
          .flags = static_cast<uint8_t>(parser.header[4]),
          .stream = ReadNumber(parser.header + 5, 4) & 0x7fffffff};
      if (absl::Status status = begin(frame); !status.ok()) return status;
      // The header is passed on as a whole, so that own frames can precede it.
      out->append(parser.header, sizeof(parser.header));
      parser.payload_left = frame.length;
      if (frame.length == 0) end();
    }
    const size_t size = std::min(bytes.size(), parser.payload_left);
    if (size == 0) continue;
    payload(bytes.substr(0, size), out);
    bytes.remove_prefix(size);
    parser.payload_left -= size;
    if (parser.payload_left == 0) end();
  }
  return absl::OkStatus();
}

absl::Status Http2Guard::FromClient(absl::string_view bytes,
                                    Clock::time_point now,
                                    std::string* to_server,
                                    std::string* to_client) {
  if (preface_left_ > 0) {
    const size_t size = std::min(preface_left_, bytes.size());
    if (bytes.substr(0, size) !=
        kPreface.substr(kPreface.size() - preface_left_, size)) {
      return absl::InvalidArgumentError("expected HTTP/2");
    }
    to_server->append(bytes.data(), size);
    bytes.remove_prefix(size);
    preface_left_ -= size;
  }
  absl::Status status = Parse(
      from_client_, bytes, to_server,
      [&](const Frame& frame) {
        absl::Status begun = BeginClientFrame(frame, now);
        client_frame_ = frame;
        frame_begin_ = now;
        Flush(to_server, to_client);
        return begun;
      },
      [&](absl::string_view part, std::string* out) {
        absl::StrAppend(out, part);
        if (client_frame_.type == kData) ReadData(part, now);
      },
      [&] {
        EndClientFrame(client_frame_, now);
        client_bytes_ += sizeof(Parser::header) + client_frame_.length;
        Flush(to_server, to_client);
      });
  if (status.ok()) return status;
  return Close(absl::IsResourceExhausted(status)    ? kEnhanceYourCalm
               : absl::IsOutOfRange(status)         ? kFrameSizeError
               : absl::IsFailedPrecondition(status) ? kFlowControlError
                                                    : kProtocolError,
               status.message(), to_client);
}

absl::Status Http2Guard::BeginClientFrame(const Frame& frame,
                                          Clock::time_point now) {
  if (from_client_.in_header_block &&
      (frame.type != kContinuation || frame.stream != client_frame_.stream)) {
    return absl::InvalidArgumentError("expected the rest of the headers");
  }
  if (frame.type != kData && frame.length > kFrameBytes) {
    return absl::OutOfRangeError("a frame is too long");
  }
  if (floods_) {
    return absl::ResourceExhaustedError("too many control frames");
  }
  switch (frame.type) {
    case kData:
      return BeginData(frame, now);
    case kHeaders:
      if (frame.stream % 2 == 0) {
        return absl::InvalidArgumentError(
            "streams of clients have odd numbers");
      }
      header_block_bytes_ = 0;
      header_block_frames_ = 0;
      header_block_begin_ = now;
      header_block_flags_ = frame.flags;
      opens_stream_ = frame.stream > highest_stream_;
      [[fallthrough]];
    case kContinuation:
      if (frame.type == kContinuation && !from_client_.in_header_block) {
        return absl::InvalidArgumentError("CONTINUATION without HEADERS");
      }
      header_block_bytes_ += frame.length;
      ++header_block_frames_;
      if (header_block_bytes_ > limits_.header_block_bytes ||
          header_block_frames_ > limits_.header_block_frames) {
        return absl::ResourceExhaustedError("the headers are too long");
      }
      from_client_.in_header_block = true;
      break;
    case kSettings:
    case kPing:
    case kWindowUpdate:
      ChargeReaction(frame, now);
      break;
    case kPushPromise:
      return absl::InvalidArgumentError("clients must not push");
    default:
      Charge(1, now);
  }
  return absl::OkStatus();
}

absl::Status Http2Guard::BeginData(const Frame& frame, Clock::time_point now) {
  if (frame.length == 0 && (frame.flags & kEndStream) == 0) Charge(1, now);
  const auto found = streams_.find(frame.stream);
  absl::Status status = TakeWindow(
      frame.length, found == streams_.end() ? nullptr : &found->second);
  if (!status.ok()) return status;
  if (found == streams_.end()) {
    // The rest of a message whose stream was refused may still come.
    Charge(frame.length < kShortData ? 1 : 0.1, now);
    return absl::OkStatus();
  }
  Stream& stream = found->second;
  if (stream.client_ended) {
    return absl::InvalidArgumentError("data after the end of a stream");
  }
  stream.last_frame = now;
  if (frame.length > 0) stream.has_data = true;
  if ((frame.flags & kEndStream) != 0) stream.client_ended = true;
  if (frame.length == 0) return absl::OkStatus();
  // gRPC holds the frame and what it has read together with it.
  uint64_t beside = kGrpcReadBytes;
  if (stream.held_bytes > 0) {
    beside = std::min(beside, client_bytes_ - stream.held_end);
  }
  const uint64_t bytes = beside + frame.length;
  if (client_.Hold(bytes)) {
    stream.held_bytes += bytes;
    stream.held_of_message += bytes;
    stream.held_of_frame = bytes;
    stream.held_end = client_bytes_ + sizeof(Parser::header) + frame.length;
  } else {
    CloseStream(frame.stream);
    RefuseStream(frame.stream, kEnhanceYourCalm);
  }
  return absl::OkStatus();
}

absl::Status Http2Guard::TakeWindow(size_t bytes, Stream* stream) {
  const auto size = static_cast<int64_t>(bytes);
  window_ -= size;
  if (stream != nullptr) stream->window -= size;
  if (window_ < 0 || (stream != nullptr && stream->window < 0)) {
    return absl::FailedPreconditionError("more data than the window permits");
  }
  return absl::OkStatus();
}

void Http2Guard::ChargeReaction(const Frame& frame, Clock::time_point now) {
  const bool is_ack = (frame.flags & kAck) != 0;
  if (frame.type == kSettings) {
    // A change of settings costs more than an acknowledgment.
    if (!is_ack) return Charge(4, now);
    if (settings_.empty()) return Charge(1, now);
    const std::optional<int64_t> acknowledged = settings_.front();
    settings_.pop_front();
    if (!acknowledged.has_value()) return;
    int64_t window = *acknowledged;
    for (const auto& later : settings_) {
      window = std::max(window, later.value_or(0));
    }
    return SetInitialWindow(window);
  }
  if (frame.type == kWindowUpdate) {
    if (window_updates_ == 0) return Charge(0.1, now);
    --window_updates_;
    return;
  }
  uint64_t& caused = is_ack ? ping_acks_ : pings_;
  if (caused == 0) return Charge(1, now);
  --caused;
}

void Http2Guard::AllowWindowUpdates(uint64_t frames) {
  window_updates_ = std::min(window_updates_ + frames, kMostWindowUpdates);
}

void Http2Guard::ReadData(absl::string_view bytes, Clock::time_point now) {
  const auto found = streams_.find(client_frame_.stream);
  // gRPC takes no data with padding, and ends the stream.
  if (found == streams_.end() || (client_frame_.flags & kPadded) != 0) return;
  Stream& stream = found->second;
  while (!bytes.empty()) {
    size_t size;
    if (stream.header_size < kMessageHeader) {
      if (stream.header_size == 0) {
        stream.held_of_message = stream.held_of_frame;
      }
      size = std::min(bytes.size(), kMessageHeader - stream.header_size);
      std::memcpy(stream.header + stream.header_size, bytes.data(), size);
      stream.header_size += size;
      if (stream.header_size < kMessageHeader) return;
      stream.content_left = ReadNumber(stream.header + 1, 4);
    } else {
      size = std::min(bytes.size(), stream.content_left);
      stream.content_left -= size;
    }
    bytes.remove_prefix(size);
    if (stream.content_left > 0) continue;
    stream.header_size = 0;
    ++stream.messages;
    const bool is_empty = ReadNumber(stream.header + 1, 4) == 0;
    if (is_empty && stream.messages > 1) Charge(kEmptyMessageCost, now);
    stream.held_of_message = 0;
  }
}

void Http2Guard::EndData(const Frame& frame, Clock::time_point now) {
  const auto found = streams_.find(frame.stream);
  if (found == streams_.end()) return;
  Stream& stream = found->second;
  const bool is_complete = stream.header_size == 0 || stream.client_ended;
  if (!is_complete && frame.length < kShortData) Charge(kShortDataCost, now);
  // The server reads the only message of a call at once.
  if (stream.client_ended && stream.messages <= 1) {
    stream.held_of_message = 0;
    ReleaseMessages(stream);
  }
}

void Http2Guard::Charge(double frames, Clock::time_point now) {
  if (now - charge_time_ >= std::chrono::seconds(1)) {
    charge_time_ = now;
    charged_ = 0;
  }
  charged_ += frames;
  if (!client_.Charge(frames, now) && charged_ >= kFlood) floods_ = true;
}

void Http2Guard::EndClientFrame(const Frame& frame, Clock::time_point now) {
  if (frame.type == kData) return EndData(frame, now);
  if (frame.type == kRstStream) return CloseStream(frame.stream);
  if (frame.type != kHeaders && frame.type != kContinuation) return;
  if ((frame.flags & kEndHeaders) == 0) return;
  from_client_.in_header_block = false;
  if (opens_stream_) return OpenStream(frame, now);
  const auto stream = streams_.find(frame.stream);
  if (stream == streams_.end()) return Charge(kRefusalCost, now);
  // Trailers, which clients of gRPC do not send.
  Charge(1, now);
  stream->second.last_frame = now;
  if ((header_block_flags_ & kEndStream) != 0) {
    stream->second.client_ended = true;
  }
}

void Http2Guard::OpenStream(const Frame& frame, Clock::time_point now) {
  highest_stream_ = frame.stream;
  if (header_block_bytes_ > kCheapHeaders) {
    Charge(header_block_bytes_ / double{kCheapHeaders}, now);
  }
  if (refuses_streams_ || !client_.EnterStream(now)) {
    // gRPC still makes a stream for it, and ends it.
    Charge(kRefusalCost, now);
    return RefuseStream(frame.stream, kRefusedStream);
  }
  AllowWindowUpdates(1);
  Stream& stream = streams_[frame.stream];
  stream.window = initial_window_;
  stream.last_frame = now;
  stream.client_ended = (header_block_flags_ & kEndStream) != 0;
}

void Http2Guard::CloseStream(uint32_t stream) {
  const auto found = streams_.find(stream);
  if (found == streams_.end()) return;
  client_.Release(found->second.held_bytes);
  client_.LeaveStream();
  streams_.erase(found);
}

void Http2Guard::ReleaseMessages(Stream& stream) {
  client_.Release(stream.held_bytes - stream.held_of_message);
  stream.held_bytes = stream.held_of_message;
}

void Http2Guard::RefuseStream(uint32_t stream, uint32_t error) {
  ++refused_streams_;
  AppendReset(&for_server_, stream, kCancel);
  AppendReset(&for_client_, stream, error);
}

void Http2Guard::FromServer(absl::string_view bytes, std::string* to_client) {
  const absl::Status status = Parse(
      from_server_, bytes, to_client,
      [&](const Frame& frame) {
        server_frame_ = frame;
        if (frame.type == kHeaders) from_server_.in_header_block = true;
        if (frame.type == kGoAway) goaway_size_ = goaway_last_ = 0;
        server_control_size_ = 0;
        server_window_.reset();
        return absl::OkStatus();
      },
      [&](absl::string_view part, std::string* out) {
        if (server_frame_.type == kGoAway) return PassGoAway(part, out);
        if (server_frame_.type == kSettings ||
            server_frame_.type == kWindowUpdate) {
          ReadServerControl(part);
        }
        absl::StrAppend(out, part);
      },
      [&] {
        server_has_begun_ = true;
        EndServerFrame(server_frame_);
        Flush(nullptr, to_client);
      });
  (void)status;  // the server's frames are never refused
}

void Http2Guard::ReadServerControl(absl::string_view bytes) {
  for (char byte : bytes) {
    server_control_[server_control_size_++] = byte;
    if (server_frame_.type == kWindowUpdate) {
      if (server_control_size_ < 4) continue;
      const uint32_t more = ReadNumber(server_control_, 4);
      if (server_frame_.stream == 0) {
        window_ += more;
      } else if (const auto stream = streams_.find(server_frame_.stream);
                 stream != streams_.end()) {
        stream->second.window += more;
      }
    } else {
      if (server_control_size_ < sizeof(server_control_)) continue;
      if (ReadNumber(server_control_, 2) == kInitialWindowSize) {
        server_window_ = ReadNumber(server_control_ + 2, 4);
      }
    }
    server_control_size_ = 0;
  }
}

void Http2Guard::SetInitialWindow(int64_t bytes) {
  for (auto& entry : streams_) {
    entry.second.window += bytes - initial_window_;
  }
  initial_window_ = bytes;
}

void Http2Guard::PassGoAway(absl::string_view bytes, std::string* to_client) {
  constexpr size_t kLastStream = 4;
  const size_t size =
      std::min(bytes.size(), kLastStream - std::min(goaway_size_, kLastStream));
  std::string highest;
  AppendNumber(&highest, kLastStream, kHighestStream);
  if (size > 0) to_client->append(highest, goaway_size_, size);
  for (char byte : bytes.substr(0, size)) {
    goaway_last_ = goaway_last_ << 8 | static_cast<uint8_t>(byte);
  }
  goaway_size_ += bytes.size();
  absl::StrAppend(to_client, bytes.substr(size));
}

void Http2Guard::RefuseStreamsAfter(uint32_t last) {
  refuses_streams_ = true;
  std::vector<uint32_t> after;
  for (const auto& entry : streams_) {
    if (entry.first > last) after.push_back(entry.first);
  }
  std::sort(after.begin(), after.end());
  for (uint32_t stream : after) {
    CloseStream(stream);
    ++refused_streams_;
    AppendReset(&for_client_, stream, kRefusedStream);
  }
}

void Http2Guard::EndServerFrame(const Frame& frame) {
  if (frame.type == kGoAway && goaway_last_ < kHighestStream) {
    RefuseStreamsAfter(goaway_last_);
  }
  // Not earlier, because a client may acknowledge settings that have not come.
  if (frame.type == kSettings && (frame.flags & kAck) == 0) {
    settings_.push_back(server_window_);
    SetInitialWindow(std::max(initial_window_, server_window_.value_or(0)));
  }
  const bool is_header = frame.type == kHeaders || frame.type == kContinuation;
  if (is_header && (frame.flags & kEndHeaders) != 0) {
    from_server_.in_header_block = false;
  }
  const bool is_ack = (frame.flags & kAck) != 0;
  if (frame.type == kPing && !is_ack) ++ping_acks_;
  const bool is_answer = frame.type == kHeaders || frame.type == kData;
  if (is_answer) pings_ = std::min(pings_ + 1, kMostPings);
  if (frame.type == kData) AllowWindowUpdates(2);
  // gRPC ends a stream with the HEADERS that have the status, in one frame or
  // with CONTINUATION frames; or with RST_STREAM.
  if (frame.type == kRstStream ||
      (is_answer && (frame.flags & kEndStream) != 0)) {
    return CloseStream(frame.stream);
  }
  // The server answers what it has read.
  const auto stream = streams_.find(frame.stream);
  if (is_answer && stream != streams_.end()) ReleaseMessages(stream->second);
}

absl::Status Http2Guard::CheckTimes(Clock::time_point now,
                                    std::string* to_server,
                                    std::string* to_client) {
  if (from_client_.in_header_block &&
      now - header_block_begin_ > limits_.header_block_time) {
    return Close(kEnhanceYourCalm, "the headers take too long", to_client);
  }
  // The server learns that a stream was ended only after the client's frame.
  if (!for_server_.empty() && now - frame_begin_ > limits_.header_block_time) {
    return Close(kEnhanceYourCalm, "a frame takes too long", to_client);
  }
  std::vector<uint32_t> idle;
  for (const auto& [id, stream] : streams_) {
    const auto limit = stream.has_data ? limits_.next_message_time
                                       : limits_.first_message_time;
    if (!stream.client_ended && limit.count() > 0 &&
        now - stream.last_frame > limit) {
      idle.push_back(id);
    }
  }
  std::sort(idle.begin(), idle.end());
  for (uint32_t id : idle) {
    CloseStream(id);
    RefuseStream(id, kCancel);
  }
  Flush(to_server, to_client);
  return absl::OkStatus();
}

void Http2Guard::RefuseStreams(std::string* to_client) {
  if (refuses_streams_) return;
  refuses_streams_ = true;
  AppendGoAway(&for_client_, kNoError, "");
  Flush(nullptr, to_client);
}

void Http2Guard::Flush(std::string* to_server, std::string* to_client) {
  if (to_server != nullptr && from_client_.at_boundary()) {
    to_server->append(for_server_);
    for_server_.clear();
  }
  // The first frame of a connection must be the SETTINGS of the server.
  if (server_has_begun_ && from_server_.at_boundary()) {
    to_client->append(for_client_);
    for_client_.clear();
  }
}

absl::Status Http2Guard::Close(uint32_t error, absl::string_view reason,
                               std::string* to_client) {
  if (server_has_begun_ && from_server_.at_boundary()) {
    AppendGoAway(to_client, error, reason);
  }
  return absl::ResourceExhaustedError(reason);
}

}  // namespace lmserve
