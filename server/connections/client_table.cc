// SPDX-License-Identifier: Apache-2.0
#include "server/connections/client_table.h"

#include <algorithm>
#include <utility>

namespace lmserve {
namespace {

// A client in debt is read again as soon as its allowance is 0, so a flood
// keeps the allowance close to 0. Above this share of a second's frames, the
// client is out of debt.
constexpr double kCredit = 0.1;

}  // namespace

bool ClientTable::Client::EnterStream(Clock::time_point now) {
  const uint64_t streams = ++streams_;
  if (streams > max_streams_) {
    --streams_;
    return false;
  }
  if (streams > max_streams_ / kPacedShare && !is_only_client()) {
    const MutexLock lock(mutex_);
    opening_time_ = std::max(opening_time_, now) + kOpeningTime;
  }
  return true;
}

bool ClientTable::Client::Hold(uint64_t bytes) {
  if ((unread_bytes_ += bytes) <= max_unread_bytes_) return true;
  unread_bytes_ -= bytes;
  return false;
}

bool ClientTable::Client::Charge(double frames, Clock::time_point now) {
  const MutexLock lock(mutex_);
  const std::chrono::duration<double> passed = now - allowance_time_;
  allowance_time_ = now;
  allowance_ =
      std::min(kBurstSeconds * rate_, allowance_ + passed.count() * rate_);
  if (allowance_ > kCredit * rate_) credit_time_ = now;
  allowance_ -= frames;
  const double least = -rate_ * kLongestPause.count();
  if (allowance_ >= least) return now - credit_time_ < kLongestDebt;
  allowance_ = least;
  return false;
}

bool ClientTable::Client::HasFullAllowance(Clock::time_point now) const {
  const MutexLock lock(mutex_);
  const std::chrono::duration<double> passed = now - allowance_time_;
  return allowance_ + passed.count() * rate_ >= kBurstSeconds * rate_;
}

std::chrono::milliseconds ClientTable::Client::Pause(
    Clock::time_point now) const {
  using Seconds = std::chrono::duration<double>;
  const MutexLock lock(mutex_);
  Seconds pause = opening_time_ - now;
  if (allowance_ < 0) {
    const Seconds passed = now - allowance_time_;
    pause = std::max(pause, Seconds(-allowance_ / rate_) - passed);
  }
  return std::chrono::ceil<std::chrono::milliseconds>(
      std::max(pause, Seconds(0)));
}

ClientTable::Ticket::Ticket(Ticket&& other) noexcept
    : table_(std::exchange(other.table_, nullptr)),
      client_(other.client_),
      key_(std::move(other.key_)) {}

ClientTable::Ticket& ClientTable::Ticket::operator=(Ticket&& other) noexcept {
  std::swap(table_, other.table_);
  std::swap(client_, other.client_);
  std::swap(key_, other.key_);
  return *this;
}

ClientTable::Ticket::~Ticket() {
  if (table_ != nullptr) table_->Leave(key_);
}

ClientTable::Ticket ClientTable::Enter(const std::string& address) {
  Ticket ticket;
  const MutexLock lock(mutex_);
  ForgetSome();
  if (connections_ >= limits_.connections) return ticket;
  std::unique_ptr<Client>& client = clients_[address];
  if (client == nullptr) {
    client = std::make_unique<Client>(limits_, connected_clients_);
  }
  if (client->connections_ >= limits_.connections_per_client) return ticket;
  if (++client->connections_ == 1) ++connected_clients_;
  ++connections_;
  ticket.table_ = this;
  ticket.client_ = client.get();
  ticket.key_ = address;
  return ticket;
}

uint64_t ClientTable::connections() const {
  const MutexLock lock(mutex_);
  return connections_;
}

void ClientTable::Leave(const std::string& key) {
  const MutexLock lock(mutex_);
  --connections_;
  if (--clients_.find(key)->second->connections_ == 0) {
    --connected_clients_;
    left_.push_back(key);
  }
  ForgetSome();
}

void ClientTable::ForgetSome() {
  const auto now = Client::Clock::now();
  while (!left_.empty()) {
    const auto found = clients_.find(left_.front());
    if (found != clients_.end() && found->second->connections_ == 0) {
      if (!found->second->HasFullAllowance(now)) return;
      clients_.erase(found);
    }
    left_.pop_front();
  }
}

}  // namespace lmserve
