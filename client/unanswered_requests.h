// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_CLIENT_UNANSWERED_REQUESTS_H_
#define LMSERVE_CLIENT_UNANSWERED_REQUESTS_H_

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <thread>

#include "absl/functional/function_ref.h"
#include "lm/v1/language_model.pb.h"

namespace lmserve {

// The requests of a ScoreStream that have no response yet. A thread of its own
// asks for new ones, which may take as long as its caller likes: a stream that
// ended meanwhile does not wait for it. One thread gets requests, another one
// removes them.
class UnansweredRequests {
 public:
  // Writes the next request; returns false if there is none.
  using Next = absl::FunctionRef<bool(lm::v1::ScoreRequest*)>;
  using Request = std::shared_ptr<const lm::v1::ScoreRequest>;

  // `next` must outlive the object.
  explicit UnansweredRequests(Next next);

  UnansweredRequests(const UnansweredRequests&) = delete;
  UnansweredRequests& operator=(const UnansweredRequests&) = delete;

  // Waits for the end of a call of `next`.
  ~UnansweredRequests();

  // Begins a stream, and returns the number of its first request, from 0.
  uint64_t BeginStream();

  // Wakes Get(), which returns null from now on.
  void EndStream();

  // Returns the request with a number, and waits for it if it is the next new
  // one. Returns null if the caller has no more requests, or if the stream has
  // ended. REQUIRES: the request has no response.
  Request Get(uint64_t number);

  // Removes the first request, which has a response. Returns false if Get() has
  // not returned that request in this stream, so that nobody can have answered
  // it.
  bool OnAnswer();

  // How many requests have a response.
  uint64_t answered() const;

  // Whether the caller has no more requests, and all have a response.
  bool is_complete() const;

 private:
  // Asks for a request whenever one is wanted.
  void Produce();

  const Next next_;
  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<Request> requests_;
  uint64_t answered_ = 0;
  uint64_t handed_out_ = 0;        // the first that Get() has not returned
  bool is_wanted_ = false;         // a new request
  bool has_ended_ = false;         // there is no new request
  bool has_stream_ended_ = false;  // the current one
  bool is_over_ = false;           // the object is being destroyed
  std::thread producer_;           // last, because it uses the others
};

}  // namespace lmserve

#endif  // LMSERVE_CLIENT_UNANSWERED_REQUESTS_H_
