// SPDX-License-Identifier: Apache-2.0
#include "server/connections/relay.h"

#include <poll.h>
#include <unistd.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "server/connections/named_socket_pair.h"

namespace lmserve {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Clock = Http2Guard::Clock;

// After the server has closed a connection, the client has this long to read
// the rest. Closing a socket that holds unread bytes would discard them.
constexpr std::chrono::seconds kLinger(1);

// Bytes that are read at once: few at first, and more while much comes.
constexpr size_t kSmallestBuffer = 4 << 10;
constexpr size_t kLargestBuffer = 64 << 10;

// The bytes that wait in the socket to the server: what gRPC reads at once. A
// thread of gRPC reads from a socket until it is empty, and then from the next
// one, so a socket that holds more keeps the thread from other clients.
const asio::socket_base::send_buffer_size kServerBuffer(kGrpcReadBytes);

// A connection that has less than this for the server, or whose client is the
// only one, needs no turn. Counts from when the server had last read all but
// about twice as much.
constexpr size_t kSmallWrite = 4 << 10;

// If the server does not read from a connection, its turn ends after this time.
constexpr std::chrono::seconds kLongestTurn(1);

// `Stream` is Relay::Socket or a TLS stream over it.
template <typename Stream>
class RelayOver final : public Relay,
                        public std::enable_shared_from_this<RelayOver<Stream>> {
  static constexpr bool kEncrypts = !std::is_same_v<Stream, Socket>;

 public:
  RelayOver(const RelayContext& context, Stream client, std::string address,
            ClientTable::Ticket ticket, std::shared_ptr<TlsContext> tls,
            std::function<void()> on_closed)
      : context_(context),
        tls_(std::move(tls)),
        ticket_(std::move(ticket)),
        guard_(context.http2, ticket_.client()),
        client_(std::move(client)),
        server_(client_.get_executor()),
        timer_(client_.get_executor()),
        address_(std::move(address)),
        on_closed_(std::move(on_closed)),
        begin_(Clock::now()) {}

  void Start() override {
    if (is_closed_) return;
    ClientTable::Client& client = ticket_.client();
    if (const auto pause = client.Pause(Clock::now()); pause.count() > 0) {
      timer_.expires_after(pause);
      timer_.async_wait([self = this->shared_from_this()](const error_code&) {
        self->Start();
      });
      return;
    }
    client.Charge(
        kEncrypts ? ClientTable::kHandshakeCost : ClientTable::kConnectionCost,
        Clock::now());
    if constexpr (kEncrypts) {
      client_.async_handshake(
          asio::ssl::stream_base::server,
          [self = this->shared_from_this()](const error_code& error) {
            if (error) return self->Close();
            self->Connect();
          });
    } else {
      Connect();
    }
  }

  void Drain() override {
    guard_.RefuseStreams(&to_client_);
    WriteClient();
  }

  bool is_idle() const override {
    return guard_.open_streams() == 0 && to_client_.empty() && !writes_client_;
  }

  void CheckTimes(Clock::time_point now) override {
    if (has_turn_ && now - turn_begin_ > kLongestTurn) EndTurn();
    if (is_closed_ || ends_ || server_ended_) return;
    // While nothing is read from the client, its end shows here alone.
    if ((is_paused_ || !reads_client_) && HasLeft()) return Close();
    if (!guard_.has_begun()) {
      if (now - begin_ > context_.handshake_time) {
        ++context_.ended_connections;
        Close();
      }
      return;
    }
    const absl::Status status =
        guard_.CheckTimes(now, &to_server_, &to_client_);
    CountRefused();
    WriteServer();
    WriteClient();
    if (!status.ok()) End();
  }

  void Close() override {
    if (std::exchange(is_closed_, true)) return;
    error_code ignored;
    timer_.cancel();
    client_.lowest_layer().close(ignored);
    server_.close(ignored);
    EndTurn();
    on_closed_();
  }

 private:
  void ReadClient() {
    if (is_closed_ || reads_client_ || ends_ || server_ended_) return;
    // Requests wait while the server or the client does not read.
    if (writes_server_ || writes_client_) return;
    reads_client_ = true;
    client_.async_read_some(asio::buffer(from_client_),
                            [self = this->shared_from_this()](
                                const error_code& error, size_t size) {
                              self->reads_client_ = false;
                              self->OnClientRead(error, size);
                            });
  }

  // Whether the client has closed its end.
  bool HasLeft() {
    pollfd poll = {client_.lowest_layer().native_handle(), POLLRDHUP, 0};
    return ::poll(&poll, 1, 0) > 0;
  }

  void OnClientRead(const error_code& error, size_t size) {
    if (is_closed_) return;
    if (error) return Close();
    if (ends_ || server_ended_) return Discard();
    const auto pause = ticket_.client().Pause(Clock::now());
    if (pause.count() > 0) return HandleLater(size, pause);
    const absl::Status status = guard_.FromClient(
        {from_client_.data(), size}, Clock::now(), &to_server_, &to_client_);
    CountRefused();
    Fit(from_client_,
        ticket_.client().Pause(Clock::now()).count() == 0 ? size : 0);
    if (!status.ok()) return End();
    if (guard_.has_begun()) WriteServer();
    WriteClient();
    ReadClient();
  }

  // Handles what was read from the client after a pause, because the client has
  // sent too many control frames.
  void HandleLater(size_t size, std::chrono::milliseconds pause) {
    reads_client_ = is_paused_ = true;
    timer_.expires_after(pause);
    timer_.async_wait(
        [self = this->shared_from_this(), size](const error_code&) {
          self->reads_client_ = self->is_paused_ = false;
          self->OnClientRead({}, size);
        });
  }

  // Connects to the server. It sends its settings at once, for which a client
  // of gRPC waits before it sends more.
  void Connect() {
    const auto pair = NamedSocketPair::Create(address_);
    if (!pair.ok()) return Close();
    error_code error;
    server_.assign({AF_UNIX, 0}, pair->relay, error);
    if (!error) server_.set_option(kServerBuffer, error);
    if (error) {
      close(pair->relay);
      close(pair->server);
      return Close();
    }
    context_.hand_over(pair->server);
    ReadServer();
    ReadClient();
  }

  void ReadServer() {
    if (is_closed_ || reads_server_ || ends_ || writes_client_) return;
    reads_server_ = true;
    server_.async_read_some(asio::buffer(from_server_),
                            [self = this->shared_from_this()](
                                const error_code& error, size_t size) {
                              self->reads_server_ = false;
                              self->OnServerRead(error, size);
                            });
  }

  void OnServerRead(const error_code& error, size_t size) {
    if (is_closed_) return;
    if (error) {
      server_ended_ = true;
      return FinishClient();
    }
    guard_.FromServer({from_server_.data(), size}, &to_client_);
    Fit(from_server_, size);
    WriteClient();
    ReadServer();
  }

  void WriteServer() {
    if (is_closed_ || writes_server_ || to_server_.empty()) return;
    writes_server_ = true;
    since_turn_ += to_server_.size();
    if (since_turn_ < kSmallWrite || ticket_.client().is_only_client()) {
      return WriteServerNow();
    }
    const bool begun = ticket_.client().write_turns().Begin(
        [waiting = this->weak_from_this()] {
          auto self = waiting.lock();
          if (self == nullptr) return false;
          const auto executor = self->server_.get_executor();
          asio::post(executor, [self = std::move(self)] { self->OnTurn(); });
          return true;
        });
    if (begun) OnTurn();
  }

  void OnTurn() {
    has_turn_ = true;
    turn_begin_ = Clock::now();
    if (is_closed_ || ends_) return EndTurn();
    WriteServerNow();
  }

  void EndTurn() {
    if (std::exchange(has_turn_, false)) ticket_.client().write_turns().End();
  }

  void WriteServerNow() {
    writing_server_.swap(to_server_);
    asio::async_write(
        server_, asio::buffer(writing_server_),
        [self = this->shared_from_this()](const error_code& error, size_t) {
          Clear(self->writing_server_);
          // If the server has closed its end, its last bytes are still read.
          if (error) {
            self->writes_server_ = false;
            return self->EndTurn();
          }
          if (!self->has_turn_) return self->OnServerWritten();
          self->EndTurnWhenRead();
        });
  }

  // A socket is writable if at most a quarter of its buffer, as the kernel
  // counts it, is not read.
  void EndTurnWhenRead() {
    server_.async_wait(Socket::wait_write, [self = this->shared_from_this()](
                                               const error_code& error) {
      // Asio may pass on an event of before the write.
      if (!error && !self->IsServerWritable()) {
        return self->EndTurnWhenRead();
      }
      self->EndTurn();
      self->since_turn_ = 0;
      if (!error) self->OnServerWritten();
    });
  }

  bool IsServerWritable() {
    pollfd poll = {server_.native_handle(), POLLOUT, 0};
    return ::poll(&poll, 1, 0) > 0;
  }

  void OnServerWritten() {
    writes_server_ = false;
    WriteServer();
    ReadClient();
  }

  void WriteClient() {
    if (is_closed_ || writes_client_ || to_client_.empty()) return;
    writes_client_ = true;
    writing_client_.swap(to_client_);
    asio::async_write(
        client_, asio::buffer(writing_client_),
        [self = this->shared_from_this()](const error_code& error, size_t) {
          self->writes_client_ = false;
          Clear(self->writing_client_);
          if (error) return self->Close();
          self->WriteClient();
          if (self->ends_ || self->server_ended_) return self->FinishClient();
          self->ReadServer();
          self->ReadClient();
        });
  }

  // Ends the connection after what waits for the client was sent.
  void End() {
    ++context_.ended_connections;
    ends_ = true;
    error_code ignored;
    server_.close(ignored);
    EndTurn();
    FinishClient();
  }

  void FinishClient() {
    if (is_closed_ || finishes_) return;
    WriteClient();
    if (writes_client_) {
      // A client that does not read does not keep the connection.
      timer_.expires_after(10 * kLinger);
      timer_.async_wait(
          [self = this->shared_from_this()](const error_code& error) {
            if (!error) self->Close();
          });
      return;
    }
    finishes_ = true;
    error_code ignored;
    client_.lowest_layer().shutdown(Socket::shutdown_send, ignored);
    timer_.expires_after(kLinger);
    timer_.async_wait(
        [self = this->shared_from_this()](const error_code& error) {
          if (!error) self->Close();
        });
    if (!reads_client_) Discard();
  }

  // Reads until the client closes its end.
  void Discard() {
    reads_client_ = true;
    client_.async_read_some(
        asio::buffer(from_client_),
        [self = this->shared_from_this()](const error_code& error, size_t) {
          if (error) return self->Close();
          self->Discard();
        });
  }

  // Makes room for more after a read that has filled the buffer, and frees a
  // large buffer after a short one.
  static void Fit(std::vector<char>& buffer, size_t size) {
    if (size == buffer.size() && size < kLargestBuffer) {
      buffer.resize(2 * size);
    } else if (size <= kSmallestBuffer / 2 && buffer.size() > kSmallestBuffer) {
      buffer = std::vector<char>(kSmallestBuffer);
    }
  }

  // Empties a string that was written, and frees a large one.
  static void Clear(std::string& written) {
    written.clear();
    if (written.capacity() > kSmallestBuffer) written.shrink_to_fit();
  }

  void CountRefused() {
    context_.refused_streams += guard_.refused_streams() - counted_refused_;
    counted_refused_ = guard_.refused_streams();
  }

  const RelayContext& context_;
  const std::shared_ptr<TlsContext> tls_;  // must outlive client_
  const ClientTable::Ticket ticket_;
  Http2Guard guard_;
  Stream client_;
  Socket server_;
  asio::steady_timer timer_;
  const std::string address_;
  const std::function<void()> on_closed_;
  const Clock::time_point begin_;
  std::vector<char> from_client_ = std::vector<char>(kSmallestBuffer);
  std::vector<char> from_server_ = std::vector<char>(kSmallestBuffer);
  std::string to_client_, writing_client_;
  std::string to_server_, writing_server_;
  uint64_t counted_refused_ = 0;
  bool reads_client_ = false;
  bool is_paused_ = false;
  bool reads_server_ = false;
  bool writes_client_ = false;
  bool writes_server_ = false;  // or waits for a turn to write
  uint64_t since_turn_ = 0;     // bytes written to the server
  bool has_turn_ = false;
  Clock::time_point turn_begin_;
  bool ends_ = false;          // because of what the client did
  bool server_ended_ = false;  // the server has closed its end
  bool finishes_ = false;
  bool is_closed_ = false;
};

}  // namespace

std::shared_ptr<Relay> Relay::Create(const RelayContext& context, Socket client,
                                     std::string address,
                                     ClientTable::Ticket ticket,
                                     std::shared_ptr<TlsContext> tls,
                                     std::function<void()> on_closed) {
  if (tls == nullptr) {
    return std::make_shared<RelayOver<Socket>>(
        context, std::move(client), std::move(address), std::move(ticket),
        nullptr, std::move(on_closed));
  }
  asio::ssl::stream<Socket> stream(std::move(client), *tls);
  return std::make_shared<RelayOver<asio::ssl::stream<Socket>>>(
      context, std::move(stream), std::move(address), std::move(ticket),
      std::move(tls), std::move(on_closed));
}

}  // namespace lmserve
