// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_CONNECTIONS_HTTP2_GUARD_H_
#define LMSERVE_SERVER_CONNECTIONS_HTTP2_GUARD_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/connections/client_table.h"

namespace lmserve {

// The largest buffer into which gRPC must read. It keeps a whole buffer as long
// as a part of it is of a message that was not read.
inline constexpr int kGrpcReadBytes = 16 << 10;

struct Http2Limits {
  // Of the headers of a call as they are sent: all frames from HEADERS to
  // END_HEADERS. gRPC accepts 8 KiB of headers, but reads any amount first.
  size_t header_block_bytes = 32 << 10;
  size_t header_block_frames = 16;
  // How long the client may take for the rest of a header block.
  std::chrono::milliseconds header_block_time = std::chrono::seconds(10);
  // How long a stream may wait for the first and for the next message of the
  // client. 0: any time.
  std::chrono::milliseconds first_message_time = std::chrono::seconds(60);
  std::chrono::milliseconds next_message_time = std::chrono::minutes(10);
};

// Watches one HTTP/2 connection between a client and a server that trusts its
// clients, as gRPC 1.51 does, and ends or slows down what would make the server
// hold memory or time without bound (RFC 9113, section 10.5). It reads only the
// headers of frames and the lengths of gRPC's messages, passes everything on
// unchanged but for the last stream of GOAWAY frames, and adds RST_STREAM and
// GOAWAY frames of its own between the frames of both sides.
//
// Works on bytes in memory, without sockets. For one thread at a time.
class Http2Guard {
 public:
  using Clock = std::chrono::steady_clock;

  // `client` counts the streams of all connections of a client, and must
  // outlive the guard.
  Http2Guard(const Http2Limits& limits, ClientTable::Client& client);
  ~Http2Guard();
  Http2Guard(const Http2Guard&) = delete;
  Http2Guard& operator=(const Http2Guard&) = delete;

  // Reads bytes that the client sent and appends what to pass on. After an
  // error the connection must be closed; `to_client` then ends with a GOAWAY
  // frame that tells the client the reason.
  absl::Status FromClient(absl::string_view bytes, Clock::time_point now,
                          std::string* to_server, std::string* to_client);

  // Reads bytes that the server sent and appends what to pass on.
  void FromServer(absl::string_view bytes, std::string* to_client);

  // Ends streams whose client has sent nothing for too long. To be called about
  // once a second. Returns an error, like FromClient(), if the connection must
  // be closed.
  absl::Status CheckTimes(Clock::time_point now, std::string* to_server,
                          std::string* to_client);

  // From now on refuses new streams, and tells the client so with a GOAWAY
  // frame. Clients then make their calls on another connection.
  void RefuseStreams(std::string* to_client);

  // Calls that have begun and not ended.
  size_t open_streams() const { return streams_.size(); }

  // Whether the client has sent the bytes with which HTTP/2 begins.
  bool has_begun() const { return preface_left_ == 0; }

  // Streams that this guard refused or ended.
  uint64_t refused_streams() const { return refused_streams_; }

 private:
  // A message of gRPC is a byte, its length in four bytes, and its content.
  static constexpr size_t kMessageHeader = 5;

  static constexpr int64_t kInitialWindow = 65'535;

  struct Stream {
    Clock::time_point last_frame;  // of the client
    bool has_data = false;         // whether a part of a message has come
    bool client_ended = false;
    // The message that has begun and is not complete:
    char header[kMessageHeader] = {};
    size_t header_size = 0;   // bytes of `header` that have come
    size_t content_left = 0;  // bytes that have not come
    uint64_t messages = 0;    // that are complete
    // What gRPC may hold for messages that the server has not read; of it for
    // the message that is not complete, and for the last frame; and where that
    // frame ended, in bytes of the connection.
    uint64_t held_bytes = 0;
    uint64_t held_of_message = 0;
    uint64_t held_of_frame = 0;
    uint64_t held_end = 0;
    int64_t window = 0;  // bytes of data that the client may still send
  };

  // Finds the frames in the bytes of one direction.
  struct Parser {
    char header[9];
    size_t header_size = 0;   // bytes of `header` that have come
    size_t payload_left = 0;  // bytes of the current frame that have not come
    bool in_header_block = false;

    bool at_boundary() const {
      return header_size == 0 && payload_left == 0 && !in_header_block;
    }
  };

  struct Frame {
    size_t length;
    uint8_t type;
    uint8_t flags;
    uint32_t stream;
  };

  // Appends the headers of frames to `out`. Calls `begin(frame)` before each
  // header, `payload(bytes, out)` for each part of its payload, which appends
  // it, and `end()` after it.
  template <typename Begin, typename Payload, typename End>
  absl::Status Parse(Parser& parser, absl::string_view bytes, std::string* out,
                     Begin begin, Payload payload, End end);

  absl::Status BeginClientFrame(const Frame& frame, Clock::time_point now);
  absl::Status BeginData(const Frame& frame, Clock::time_point now);
  // Counts a frame of data against the windows that the server has granted to
  // the connection and to the stream (null: to none that is open). gRPC 1.51
  // can stop reading from a client that exceeds the window of a stream, and
  // does not notice then that the client closes the connection.
  absl::Status TakeWindow(size_t bytes, Stream* stream);
  // Counts acknowledgments, pings and window updates, as far as the server or
  // the calls have not caused them.
  void ChargeReaction(const Frame& frame, Clock::time_point now);
  void AllowWindowUpdates(uint64_t frames);
  void ReadData(absl::string_view bytes, Clock::time_point now);
  void EndData(const Frame& frame, Clock::time_point now);
  void EndClientFrame(const Frame& frame, Clock::time_point now);
  // Counts control frames of the client.
  void Charge(double frames, Clock::time_point now);
  void OpenStream(const Frame& frame, Clock::time_point now);
  // Reads a part of a SETTINGS or WINDOW_UPDATE frame of the server.
  void ReadServerControl(absl::string_view bytes);
  // Changes the windows of all streams.
  void SetInitialWindow(int64_t bytes);
  // Passes on a part of a GOAWAY frame, with the highest stream as the last
  // one.
  void PassGoAway(absl::string_view bytes, std::string* to_client);
  void EndServerFrame(const Frame& frame);
  // Refuses the streams that the server will not answer, because they came
  // after the last one of its GOAWAY frame, and new ones.
  void RefuseStreamsAfter(uint32_t last);
  void CloseStream(uint32_t stream);
  // Counts the complete messages of a stream as read.
  void ReleaseMessages(Stream& stream);
  // Ends a stream on both sides.
  void RefuseStream(uint32_t stream, uint32_t error);
  // Moves own frames to the outputs if these are between two frames.
  void Flush(std::string* to_server, std::string* to_client);
  absl::Status Close(uint32_t error, absl::string_view reason,
                     std::string* to_client);

  const Http2Limits limits_;
  ClientTable::Client& client_;
  size_t preface_left_;
  Parser from_client_;
  Parser from_server_;
  Frame client_frame_ = {};
  Frame server_frame_ = {};
  // The part of a setting or of a WINDOW_UPDATE frame of the server.
  char server_control_[6] = {};
  size_t server_control_size_ = 0;
  std::optional<int64_t> server_window_;  // of its current SETTINGS frame
  // The bytes of the server's GOAWAY frame that have come, and its last stream.
  size_t goaway_size_ = 0;
  uint32_t goaway_last_ = 0;
  Clock::time_point frame_begin_;  // of the client
  uint64_t client_bytes_ = 0;      // of all complete frames
  // Frames of the client that the server has caused and that have not come:
  // acknowledgments of pings, and a ping for each frame of an answer, with
  // which clients measure the bandwidth.
  uint64_t ping_acks_ = 0, pings_ = 0;
  // Window updates that cost nothing: one for each call, whose window clients
  // of gRPC open for the answer, and two for each frame of data of the server,
  // for the stream and for the connection.
  uint64_t window_updates_ = 0;
  // The server's SETTINGS frames that the client has not acknowledged, with
  // their initial windows. A larger window holds at once. A smaller one holds
  // from the acknowledgment on, because the client does not know it before.
  std::deque<std::optional<int64_t>> settings_;
  // Flow control (RFC 9113, section 5.2): the window of a new stream, and the
  // bytes of data that the client may still send on the connection.
  int64_t initial_window_ = kInitialWindow;
  int64_t window_ = kInitialWindow;
  size_t header_block_bytes_ = 0;
  size_t header_block_frames_ = 0;
  Clock::time_point header_block_begin_;
  uint8_t header_block_flags_ = 0;
  bool opens_stream_ = false;  // the current header block
  uint32_t highest_stream_ = 0;
  absl::flat_hash_map<uint32_t, Stream> streams_;
  bool server_has_begun_ = false;  // sent its first frame
  // Control frames of this connection since `charge_time_`, for up to a second.
  double charged_ = 0;
  Clock::time_point charge_time_;
  bool floods_ = false;
  std::string for_server_;  // own frames that wait for the end of a frame
  std::string for_client_;
  bool refuses_streams_ = false;
  uint64_t refused_streams_ = 0;
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_CONNECTIONS_HTTP2_GUARD_H_
