// SPDX-License-Identifier: Apache-2.0
#include "server/http/http_connection.h"

#include <poll.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/call/call.h"
#include "server/connections/tls_socket.h"
#include "server/http/http_response.h"

namespace lmserve {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Clock = std::chrono::steady_clock;
using Socket = ConnectionLoops::Socket;

// After the server has closed a connection, the client has this long to read
// the rest. Closing a socket that holds unread bytes would discard them.
constexpr std::chrono::seconds kLinger(1);

// Bytes that are read at once.
constexpr size_t kReadBytes = 16 << 10;

// Bytes that are encrypted before others have their turn.
constexpr size_t kTurnBytes = 256 << 10;

// `Stream` is a socket or a TlsSocket.
template <typename Stream>
class ConnectionOver final
    : public LoopConnection,
      public HttpStream,
      public std::enable_shared_from_this<ConnectionOver<Stream>> {
  static constexpr bool kEncrypts = !std::is_same_v<Stream, Socket>;

 public:
  // `client` has the arguments of a Stream.
  template <typename... Client>
  ConnectionOver(HttpConnectionContext& context, std::string address,
                 ClientTable::Ticket ticket,
                 std::shared_ptr<asio::ssl::context> tls,
                 std::function<void()> on_closed, Client&&... client)
      : context_(context),
        limits_(context.limits),
        tls_(std::move(tls)),
        ticket_(std::move(ticket)),
        address_(std::move(address)),
        on_closed_(std::move(on_closed)),
        client_(std::forward<Client>(client)...),
        begin_(Clock::now()) {}

  ~ConnectionOver() override { ReleaseHeld(); }

  // LoopConnection:

  void Start() override {
    if (is_closed_) return;
    ClientTable::Client& client = ticket_.client();
    if (const auto pause = client.Pause(Clock::now()); pause.count() > 0) {
      const auto timer =
          std::make_shared<asio::steady_timer>(executor(), pause);
      timer->async_wait([self = this->shared_from_this(),
                         timer](const error_code&) { self->Start(); });
      return;
    }
    client.Charge(
        kEncrypts ? ClientTable::kHandshakeCost : ClientTable::kConnectionCost,
        Clock::now());
    if constexpr (kEncrypts) {
      Handshake();
    } else {
      error_code ignored;
      client_.non_blocking(true, ignored);
      BeginWait();
    }
  }

  void Drain() override {
    is_draining_ = true;
    if (is_idle() && !HasBegunHead()) Close();
  }

  bool is_idle() const override {
    return (state_ == State::kBeginning || state_ == State::kWaiting) &&
           !writes_;
  }

  void CheckTimes(Clock::time_point now) override {
    if (is_closed_) return;
    const auto since_begin = now - begin_;
    if (writes_ && now - write_begin_ > limits_.write_time) return CutOff();
    switch (state_) {
      case State::kBeginning:
        if (since_begin > limits_.begin_time) CutOff();
        break;
      case State::kWaiting:
        CheckWaiting(since_begin);
        break;
      case State::kAnswering:
        CheckAnswering(now);
        break;
      case State::kEnding:
        if (since_begin > kLinger) Close();
        break;
    }
  }

  void Close() override {
    if (is_closed_.exchange(true)) return;
    error_code ignored;
    socket().close(ignored);
    if (waiting_piece_ != nullptr) {
      asio::post(executor(), [self = this->shared_from_this()] {
        self->EndWaitingRead(Call::Cancelled());
      });
    }
    on_closed_();
  }

  // HttpStream:

  const HttpRequest& request() const override { return request_; }
  const std::string& client() const override { return address_; }
  bool IsCancelled() const override { return is_closed_; }
  absl::Status read_status() const override { return read_status_; }

  void FinishRead(const absl::Status& status) override {
    asio::post(executor(), [self = this->shared_from_this(), status] {
      self->EndWaitingRead(status);
    });
  }

  void AllowPauses() override {
    asio::dispatch(executor(), [self = this->shared_from_this()] {
      self->allows_pauses_ = true;
    });
  }

  void SetDeadline(Clock::time_point deadline) override {
    asio::dispatch(executor(), [self = this->shared_from_this(), deadline] {
      self->deadline_ = deadline;
    });
  }

  bool Hold(uint64_t bytes) override {
    if (bytes > held_ && !ticket_.client().Hold(bytes - held_)) return false;
    if (bytes < held_) ticket_.client().Release(held_ - bytes);
    held_ = bytes;
    return true;
  }

  void SetHeartbeat(std::string bytes) override {
    asio::dispatch(executor(),
                   [self = this->shared_from_this(), bytes = std::move(bytes)] {
                     self->heartbeat_ = bytes;
                   });
  }

  bool CanKeep() const override {
    return request_.keeps_alive && !is_draining_ &&
           requests_ < limits_.requests && is_body_read_;
  }

  void Cancel() override {
    asio::post(executor(),
               [self = this->shared_from_this()] { self->Close(); });
  }

 private:
  enum class State {
    kBeginning,  // no byte of a request has come
    kWaiting,    // for the head of a request, or for its rest
    kAnswering,  // the handler has the request
    kEnding,     // the connection ends when all is written and the client has
                 // closed its end
  };
  using Work = asio::executor_work_guard<asio::any_io_executor>;

  // Takes the reference to the loop, whose context must outlive the sockets.
  void Finish(std::shared_ptr<HttpStream> self, bool may_keep) override {
    asio::post(executor(), [this, self = std::move(self), may_keep] {
      EndAnswer(may_keep);
    });
  }

  void StartRead(std::string* piece) override {
    asio::dispatch(executor(), [self = this->shared_from_this(), piece] {
      self->ReadBody(piece);
    });
  }

  void StartWrite(std::string bytes) override {
    asio::dispatch(executor(), [self = this->shared_from_this(),
                                bytes = std::move(bytes)]() mutable {
      self->Send(std::move(bytes), /*ends_write=*/true);
    });
  }

  void StartEnter() override {
    asio::dispatch(executor(),
                   [self = this->shared_from_this()] { self->EndEnter(); });
  }

  Socket& socket() {
    if constexpr (kEncrypts) {
      return client_.socket();
    } else {
      return client_;
    }
  }

  asio::any_io_executor executor() { return socket().get_executor(); }

  // TLS.

  // Calls a function of this object when the socket is ready, with what ended
  // the wait. REQUIRES: `wait` is kToRead or kToWrite.
  template <typename Function>
  void WaitFor(TlsSocket::Wait wait, Function function) {
    socket().async_wait(
        wait == TlsSocket::Wait::kToRead ? Socket::wait_read
                                         : Socket::wait_write,
        [self = this->shared_from_this(), function](const error_code& error) {
          ((*self).*function)(error);
        });
  }

  void Handshake() {
    switch (const auto wait = client_.Handshake(); wait) {
      case TlsSocket::Wait::kNone:
        return BeginWait();
      case TlsSocket::Wait::kForever:
        return Close();
      default:
        WaitFor(wait, &ConnectionOver::OnHandshakeReady);
    }
  }

  void OnHandshakeReady(const error_code& error) {
    if (is_closed_) return;
    if (error) return Close();
    Handshake();
  }

  // Encrypts and sends what is left of writing_.
  void WriteTls() {
    for (size_t turn = 0; turn < kTurnBytes && written_ < writing_.size();) {
      size_t written;
      const auto wait =
          client_.Write(absl::string_view(writing_).substr(written_), &written);
      written_ += written;
      turn += written;
      if (wait == TlsSocket::Wait::kForever) {
        return PostWriteReady(asio::error::connection_reset);
      }
      if (wait != TlsSocket::Wait::kNone) {
        return WaitFor(wait, &ConnectionOver::OnWriteReady);
      }
    }
    PostWriteReady({});
  }

  void PostWriteReady(const error_code& error) {
    asio::post(executor(), [self = this->shared_from_this(), error] {
      self->OnWriteReady(error);
    });
  }

  void OnWriteReady(const error_code& error) {
    if (!error && written_ < writing_.size() && !is_closed_) return WriteTls();
    const bool is_done = !error && written_ == writing_.size();
    OnWritten(is_done ? error_code() : asio::error::operation_aborted);
  }

  // Whether some bytes of the next request have come.
  bool HasBegunHead() const { return parser_ != nullptr || !in_.empty(); }

  // Times.

  // Closes a connection for what the client does, or does not do.
  void CutOff() {
    ++context_.ended_connections;
    Close();
  }

  void CheckWaiting(Clock::duration since_begin) {
    if (!HasBegunHead()) {
      if (since_begin > limits_.idle_time) Close();
    } else if (since_begin > limits_.head_time) {
      Refuse({408, "the head of the request did not come in time"});
    }
  }

  void CheckAnswering(Clock::time_point now) {
    // While nothing is read from the client, its end shows here alone.
    if (!receives_ && HasLeft()) return Close();
    if (now > deadline_) {
      // An answer that began later is that the deadline has passed.
      if (writes_ && write_begin_ < deadline_) return CutOff();
      EndWaitingRead(absl::DeadlineExceededError("the deadline has passed"));
    }
    if (waiting_piece_ != nullptr && IsTooSlow(now)) return CutOff();
    if (!heartbeat_.empty() && !writes_ &&
        now - last_write_ > limits_.heartbeat) {
      Send(heartbeat_, /*ends_write=*/false);
    }
  }

  bool IsTooSlow(Clock::time_point now) const {
    if (allows_pauses_) {
      return now - read_begin_ >
             (body_bytes_ == 0 ? limits_.first_pause : limits_.pause);
    }
    const std::chrono::duration<double> late =
        now - answer_begin_ - limits_.body_time;
    return late.count() * static_cast<double>(limits_.body_rate) >
           static_cast<double>(body_bytes_);
  }

  // Whether the client has closed its end.
  bool HasLeft() {
    pollfd poll = {socket().native_handle(), POLLRDHUP, 0};
    return ::poll(&poll, 1, 0) > 0;
  }

  // Reading.

  // Reads what the client sends into in_, unless that is full.
  void Receive() {
    if (is_closed_ || receives_ || in_.size() >= limits_.head.bytes) return;
    receives_ = true;
    // What is decrypted already does not make the socket ready.
    if (HasDecrypted()) {
      return asio::post(executor(), [self = this->shared_from_this()] {
        self->OnReadReady({});
      });
    }
    // A connection that waits holds no buffer.
    WaitFor(TlsSocket::Wait::kToRead, &ConnectionOver::OnReadReady);
  }

  bool HasDecrypted() const {
    if constexpr (kEncrypts) {
      return client_.HasBytes();
    } else {
      return false;
    }
  }

  void OnReadReady(const error_code& error) {
    receives_ = false;
    if (is_closed_) return;
    if (error) return OnClientEnd();
    ReceiveNow();
  }

  void ReceiveNow() {
    std::array<char, kReadBytes> bytes;
    const size_t most = std::min(bytes.size(), limits_.head.bytes);
    size_t size = 0;
    TlsSocket::Wait wait = TlsSocket::Wait::kNone;
    if constexpr (kEncrypts) {
      wait = client_.Read(bytes.data(), most, &size);
    } else {
      error_code error;
      size = client_.read_some(asio::buffer(bytes.data(), most), error);
      if (error) {
        wait = error == asio::error::would_block ? TlsSocket::Wait::kToRead
                                                 : TlsSocket::Wait::kForever;
      }
    }
    switch (wait) {
      case TlsSocket::Wait::kNone:
        return OnReceived({bytes.data(), size});
      case TlsSocket::Wait::kForever:
        return OnClientEnd();
      default:
        receives_ = true;
        WaitFor(wait, &ConnectionOver::OnReadReady);
    }
  }

  void OnReceived(absl::string_view bytes) {
    if (state_ == State::kEnding) return Receive();  // discards them
    if (state_ == State::kBeginning ||
        (state_ == State::kWaiting && !HasBegunHead())) {
      state_ = State::kWaiting;
      begin_ = Clock::now();  // of the head
    }
    in_.append(bytes.data(), bytes.size());
    Continue();
  }

  void OnClientEnd() {
    if (state_ == State::kEnding && writes_) return;  // OnWritten() closes it
    Close();
  }

  // Uses what has come.
  void Continue() {
    if (is_closed_) return;
    if (state_ == State::kAnswering && waiting_piece_ != nullptr) {
      ParseBody();
    } else if (state_ == State::kWaiting && !in_.empty()) {
      ParseHead();
    }
    Receive();
  }

  void BeginWait() {
    state_ =
        requests_ == 0 && in_.empty() ? State::kBeginning : State::kWaiting;
    begin_ = Clock::now();
    Continue();
  }

  std::optional<HttpError> Parse(std::string* body) {
    size_t used;
    auto error = parser_->Put(in_, &used, body);
    in_.erase(0, used);
    if (in_.empty()) in_ = std::string();  // frees its memory
    return error;
  }

  void ParseHead() {
    if (parser_ == nullptr) {
      parser_ = std::make_unique<HttpParser>(limits_.head);
    }
    std::string no_body;
    if (const auto error = Parse(&no_body); error.has_value()) {
      return Refuse(*error);
    }
    if (!parser_->has_head()) return;
    request_ = std::move(parser_->request());
    is_body_read_ = parser_->is_done();
    if (is_body_read_) parser_.reset();
    state_ = State::kAnswering;
    answer_begin_ = last_write_ = Clock::now();
    read_status_ = absl::OkStatus();
    body_bytes_ = 0;
    has_answered_ = allows_pauses_ = false;
    deadline_ = Clock::time_point::max();
    ++requests_;
    ++context_.requests;
    work_.emplace(executor());
    context_.handler(this->shared_from_this());
  }

  void ReadBody(std::string* piece) {
    if (is_closed_) read_status_ = Call::Cancelled();
    if (is_body_read_ || !read_status_.ok()) return EndRead(false);
    waiting_piece_ = piece;
    read_begin_ = Clock::now();
    if (request_.expects_continue && body_bytes_ == 0 && in_.empty() &&
        !has_answered_) {
      request_.expects_continue = false;
      Send("HTTP/1.1 100 Continue\r\n\r\n", /*ends_write=*/false);
    }
    Continue();
  }

  void ParseBody() {
    waiting_piece_->clear();
    if (!in_.empty()) {
      if (const auto error = Parse(waiting_piece_); error.has_value()) {
        ++context_.ended_connections;
        return EndWaitingRead(absl::InvalidArgumentError(error->message));
      }
    }
    body_bytes_ += waiting_piece_->size();
    is_body_read_ = parser_->is_done();
    if (is_body_read_) parser_.reset();
    if (waiting_piece_->empty() && !is_body_read_) return;
    const bool has_piece = !waiting_piece_->empty();
    waiting_piece_ = nullptr;
    EndRead(has_piece);
  }

  void EndWaitingRead(const absl::Status& status) {
    if (waiting_piece_ == nullptr) return;
    waiting_piece_ = nullptr;
    read_status_ = status;
    EndRead(false);
  }

  // Writing.

  void Send(std::string bytes, bool ends_write) {
    has_answered_ = has_answered_ || ends_write;
    if (writes_) {
      // At most a heartbeat or a 100 is on its way.
      next_.append(bytes);
      next_ends_write_ = ends_write;
      return;
    }
    if (is_closed_) {
      if (ends_write) EndWrite(false);
      return;
    }
    writes_ = true;
    write_begin_ = Clock::now();
    writing_ = std::move(bytes);
    writing_ends_write_ = ends_write;
    if constexpr (kEncrypts) {
      written_ = 0;
      WriteTls();
    } else {
      asio::async_write(
          client_, asio::buffer(writing_),
          [self = this->shared_from_this()](const error_code& error, size_t) {
            self->OnWritten(error);
          });
    }
  }

  void OnWritten(const error_code& error) {
    const bool ends_write = writing_ends_write_;
    writes_ = false;
    writing_ = std::string();
    last_write_ = Clock::now();
    if (error) Close();
    std::string next = std::exchange(next_, {});
    if (!next.empty()) {
      Send(std::move(next), std::exchange(next_ends_write_, false));
    } else if (state_ == State::kEnding && !error) {
      Linger();
    }
    if (ends_write) EndWrite(!error);
  }

  // Ending.

  void ReleaseHeld() {
    if (held_ > 0) ticket_.client().Release(std::exchange(held_, 0));
  }

  void EndAnswer(bool may_keep) {
    const bool keeps = may_keep && CanKeep();
    ReleaseHeld();
    heartbeat_.clear();
    request_ = {};
    if (is_closed_) {
      work_.reset();
      return;
    }
    if (keeps) {
      BeginWait();
      // After the wait has begun, so that the loop does not run out of work.
      if (state_ != State::kAnswering) work_.reset();
      return;
    }
    work_.reset();
    End();
  }

  // Answers a request that is not valid, and ends the connection.
  void Refuse(const HttpError& error) {
    ++context_.ended_connections;
    Send(ProtocolErrorResponse(error), /*ends_write=*/false);
    End();
  }

  // Ends the connection after what waits for the client was sent.
  void End() {
    state_ = State::kEnding;
    parser_.reset();
    in_ = std::string();
    begin_ = Clock::now();
    if (!writes_) Linger();
  }

  void Linger() {
    error_code ignored;
    socket().shutdown(Socket::shutdown_send, ignored);
    begin_ = Clock::now();
    Receive();
  }

  HttpConnectionContext& context_;
  const HttpConnectionLimits& limits_;
  const std::shared_ptr<asio::ssl::context> tls_;  // must outlive client_
  const ClientTable::Ticket ticket_;
  const std::string address_;
  const std::function<void()> on_closed_;
  Stream client_;
  State state_ = State::kBeginning;
  std::atomic<bool> is_closed_ = false;
  std::atomic<bool> is_draining_ = false;

  // What has come and is not used yet.
  std::string in_;
  bool receives_ = false;
  std::unique_ptr<HttpParser> parser_;  // null between two requests, and when
                                        // the body was read

  // The request that is being answered.
  HttpRequest request_;
  std::optional<Work> work_;
  std::string* waiting_piece_ = nullptr;  // of a Read() that waits
  absl::Status read_status_;
  uint64_t body_bytes_ = 0;
  std::atomic<bool> is_body_read_ = true;
  bool has_answered_ = false;
  bool allows_pauses_ = false;
  uint64_t held_ = 0;
  std::string heartbeat_;
  uint64_t requests_ = 0;

  std::string writing_;
  size_t written_ = 0;  // bytes of it, with TLS
  bool writing_ends_write_ = false;
  std::string next_;  // to write after it
  bool next_ends_write_ = false;
  bool writes_ = false;

  // Of the connection, the wait, the head or the end.
  Clock::time_point begin_;
  Clock::time_point answer_begin_, read_begin_, write_begin_, last_write_;
  Clock::time_point deadline_ = Clock::time_point::max();  // of the call
};

}  // namespace

std::shared_ptr<LoopConnection> MakeHttpConnection(
    HttpConnectionContext& context, ConnectionLoops::Accepted accepted,
    std::shared_ptr<asio::ssl::context> tls) {
  if (tls == nullptr) {
    return std::make_shared<ConnectionOver<Socket>>(
        context, std::move(accepted.address), std::move(accepted.ticket),
        nullptr, std::move(accepted.on_closed), std::move(accepted.socket));
  }
  SSL_CTX* const ssl = tls->native_handle();
  return std::make_shared<ConnectionOver<TlsSocket>>(
      context, std::move(accepted.address), std::move(accepted.ticket),
      std::move(tls), std::move(accepted.on_closed), std::move(accepted.socket),
      ssl);
}

}  // namespace lmserve
