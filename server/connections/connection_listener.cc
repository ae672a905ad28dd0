// SPDX-License-Identifier: Apache-2.0
#include "server/connections/connection_listener.h"

#include <atomic>
#include <utility>

#include "absl/status/status.h"
#include "server/connections/connection_loops.h"
#include "server/connections/relay.h"

namespace lmserve {

class ConnectionListener::Impl {
 public:
  Impl(const ListenerOptions& options, HandOver hand_over)
      : options_(options),
        hand_over_(std::move(hand_over)),
        context_{options_.http2, options_.handshake_time, hand_over_,
                 refused_streams_, ended_connections_},
        loops_({.socket_mode = options.socket_mode,
                .clients = options.clients,
                .threads = options.threads},
               [this](ConnectionLoops::Accepted accepted) {
                 return Relay::Create(
                     context_, std::move(accepted.socket),
                     std::move(accepted.address), std::move(accepted.ticket),
                     options_.tls == nullptr ? nullptr : options_.tls->Get(),
                     std::move(accepted.on_closed));
               }) {}

  ConnectionLoops& loops() { return loops_; }
  const ConnectionLoops& loops() const { return loops_; }

  Counts counts() const {
    const ConnectionLoops::Counts counts = loops_.counts();
    return {.connections = counts.connections,
            .accepted = counts.accepted,
            .refused_connections = counts.refused,
            .refused_streams = refused_streams_,
            .ended_connections = ended_connections_};
  }

 private:
  const ListenerOptions options_;
  const HandOver hand_over_;
  std::atomic<uint64_t> refused_streams_ = 0;
  std::atomic<uint64_t> ended_connections_ = 0;
  const RelayContext context_;
  ConnectionLoops loops_;
};

ConnectionListener::ConnectionListener(std::unique_ptr<Impl> impl)
    : impl_(std::move(impl)) {}

ConnectionListener::~ConnectionListener() = default;

absl::StatusOr<std::unique_ptr<ConnectionListener>> ConnectionListener::Start(
    const std::string& address, const ListenerOptions& options,
    HandOver hand_over) {
  auto impl = std::make_unique<Impl>(options, std::move(hand_over));
  absl::Status status = impl->loops().Start(address);
  if (!status.ok()) return status;
  return std::unique_ptr<ConnectionListener>(
      new ConnectionListener(std::move(impl)));
}

const std::string& ConnectionListener::address() const {
  return impl_->loops().address();
}

ConnectionListener::Counts ConnectionListener::counts() const {
  return impl_->counts();
}

void ConnectionListener::RefuseStreams() { impl_->loops().Drain(); }

bool ConnectionListener::WaitUntilIdle(
    std::chrono::steady_clock::time_point end) const {
  return impl_->loops().WaitUntilIdle(end);
}

void ConnectionListener::WaitUntilClosed(
    std::chrono::steady_clock::time_point end) const {
  impl_->loops().WaitUntilClosed(end);
}

}  // namespace lmserve
