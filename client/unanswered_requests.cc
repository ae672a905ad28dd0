// SPDX-License-Identifier: Apache-2.0
#include "client/unanswered_requests.h"

#include <utility>

namespace lmserve {

UnansweredRequests::UnansweredRequests(Next next)
    : next_(next), producer_([this] { Produce(); }) {}

UnansweredRequests::~UnansweredRequests() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    is_over_ = true;
  }
  changed_.notify_all();
  producer_.join();
}

uint64_t UnansweredRequests::BeginStream() {
  const std::lock_guard<std::mutex> lock(mutex_);
  has_stream_ended_ = false;
  handed_out_ = answered_;
  return answered_;
}

void UnansweredRequests::EndStream() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    has_stream_ended_ = true;
  }
  changed_.notify_all();
}

UnansweredRequests::Request UnansweredRequests::Get(uint64_t number) {
  std::unique_lock<std::mutex> lock(mutex_);
  is_wanted_ = number >= answered_ + requests_.size();
  if (is_wanted_) changed_.notify_all();
  changed_.wait(lock, [&] {
    return has_stream_ended_ || has_ended_ ||
           number < answered_ + requests_.size();
  });
  if (has_stream_ended_ || number >= answered_ + requests_.size()) {
    return nullptr;
  }
  handed_out_ = number + 1;
  return requests_[number - answered_];
}

bool UnansweredRequests::OnAnswer() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (answered_ == handed_out_) return false;
  requests_.pop_front();
  ++answered_;
  return true;
}

uint64_t UnansweredRequests::answered() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return answered_;
}

bool UnansweredRequests::is_complete() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return has_ended_ && requests_.empty();
}

void UnansweredRequests::Produce() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!has_ended_) {
    changed_.wait(lock, [&] { return is_wanted_ || is_over_; });
    if (is_over_) return;
    lock.unlock();
    auto request = std::make_shared<lm::v1::ScoreRequest>();
    const bool is_request = next_(request.get());
    lock.lock();
    is_wanted_ = false;
    has_ended_ = !is_request;
    if (is_request) requests_.push_back(std::move(request));
    changed_.notify_all();
  }
}

}  // namespace lmserve
