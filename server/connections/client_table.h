// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_CONNECTIONS_CLIENT_TABLE_H_
#define LMSERVE_SERVER_CONNECTIONS_CLIENT_TABLE_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "model_store/mutex.h"
#include "server/connections/write_turns.h"

namespace lmserve {

struct ClientLimits {
  uint64_t connections = 4096;            // of all clients
  uint64_t connections_per_client = 512;  // of one address
  uint64_t streams_per_client = 1024;     // calls at once of one address
  // Frames that cost the server time or memory but carry no part of a request:
  // resets, refused streams, pings, settings, and so on; a new connection
  // counts as some. This many per second of one address are read, and after a
  // pause a burst of Client::kBurstSeconds.
  double control_frames_per_second = 2000;
  // What gRPC may hold for messages that the server has not read, of one
  // address.
  uint64_t unread_bytes_per_client = 64 << 20;
  // Connections of one address that write much to gRPC at a time, while other
  // clients are connected.
  size_t write_turns_per_client = 2;
};

// Counts the connections and the streams of each client. A client is an IP
// address, of which IPv6 counts the first 64 bits, or all users of a Unix
// socket together. Thread-safe; it must outlive its tickets.
class ClientTable {
 public:
  // What a new connection costs, in control frames, and with a TLS handshake,
  // which takes a millisecond and more.
  static constexpr double kConnectionCost = 4;
  static constexpr double kHandshakeCost = 20;

  // What one client holds. Thread-safe.
  class Client {
   public:
    using Clock = std::chrono::steady_clock;

    static constexpr std::chrono::seconds kLongestPause{2};
    static constexpr std::chrono::seconds kLongestDebt{3};

    // A burst of control frames costs gRPC some 0.1 ms each, and the calls of
    // other clients wait behind it.
    static constexpr double kBurstSeconds = 0.25;

    // While other clients are connected, a client that has more than this share
    // of the streams that it may have opens further ones at this pace, because
    // the calls of others wait behind the start of all that come at once.
    static constexpr uint64_t kPacedShare = 8;
    static constexpr std::chrono::microseconds kOpeningTime{500};

    Client(const ClientLimits& limits,
           const std::atomic<uint64_t>& connected_clients)
        : max_streams_(limits.streams_per_client),
          max_unread_bytes_(limits.unread_bytes_per_client),
          write_turns_(limits.write_turns_per_client),
          rate_(limits.control_frames_per_second),
          connected_clients_(connected_clients),
          allowance_(kBurstSeconds * rate_) {}

    // Whether no other client has a connection.
    bool is_only_client() const { return connected_clients_ <= 1; }

    // Returns false if the client has too many streams; otherwise LeaveStream()
    // must follow.
    bool EnterStream(Clock::time_point now);
    void LeaveStream() { --streams_; }

    // Returns false, and counts nothing, if too many bytes are held for the
    // client; otherwise Release() must follow.
    bool Hold(uint64_t bytes);
    void Release(uint64_t bytes) { unread_bytes_ -= bytes; }

    WriteTurns& write_turns() { return write_turns_; }

    // Counts control frames, or an equivalent of them. Returns false if the
    // client floods: if paying its debt would take longer than kLongestPause
    // (the debt is then cut to that), or if it has been in debt for
    // kLongestDebt.
    bool Charge(double frames, Clock::time_point now);

    // Whether the client may send as many control frames as a new one.
    bool HasFullAllowance(Clock::time_point now) const;

    // How long to wait before reading more from the client, because it sent too
    // many control frames or opened too many streams: at most kLongestPause.
    std::chrono::milliseconds Pause(Clock::time_point now) const;

   private:
    friend class ClientTable;

    const uint64_t max_streams_;
    const uint64_t max_unread_bytes_;
    WriteTurns write_turns_;
    std::atomic<uint64_t> streams_ = 0;
    std::atomic<uint64_t> unread_bytes_ = 0;
    uint64_t connections_ = 0;  // guarded by the mutex of the table
    const double rate_;         // control frames per second
    const std::atomic<uint64_t>& connected_clients_;  // of the table
    mutable Mutex mutex_;
    // Control frames that may come now, as of `allowance_time_`.
    double allowance_ ABSL_GUARDED_BY(mutex_);
    Clock::time_point allowance_time_ ABSL_GUARDED_BY(mutex_);
    // When the client was last out of debt.
    Clock::time_point credit_time_ ABSL_GUARDED_BY(mutex_);
    // When the client may open its next stream.
    Clock::time_point opening_time_ ABSL_GUARDED_BY(mutex_);
  };

  // A connection that counts as long as this lives.
  class Ticket {
   public:
    Ticket() = default;
    Ticket(Ticket&& other) noexcept;
    Ticket& operator=(Ticket&& other) noexcept;
    ~Ticket();

    explicit operator bool() const { return table_ != nullptr; }
    Client& client() const { return *client_; }

   private:
    friend class ClientTable;

    ClientTable* table_ = nullptr;
    Client* client_ = nullptr;
    std::string key_;
  };

  explicit ClientTable(const ClientLimits& limits) : limits_(limits) {}
  ClientTable(const ClientTable&) = delete;
  ClientTable& operator=(const ClientTable&) = delete;

  // Counts a connection from an address. The ticket is false if there are too
  // many.
  Ticket Enter(const std::string& address);

  uint64_t connections() const;

 private:
  void Leave(const std::string& key);

  const ClientLimits limits_;
  // Forgets clients without connections that left long enough ago.
  void ForgetSome() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;
  uint64_t connections_ ABSL_GUARDED_BY(mutex_) = 0;
  std::atomic<uint64_t> connected_clients_ = 0;
  // The keys of clients whose last connection has ended, oldest first. Their
  // debts are kept until they are paid.
  std::deque<std::string> left_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::unique_ptr<Client>> clients_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_CONNECTIONS_CLIENT_TABLE_H_
