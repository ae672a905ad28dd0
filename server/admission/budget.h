// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_ADMISSION_BUDGET_H_
#define LMSERVE_SERVER_ADMISSION_BUDGET_H_

#include <atomic>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/call/limits.h"

namespace lmserve {

// A limit on the amount of something, such as memory, that all calls together
// may use. Thread-safe; it must outlive its reservations.
class Budget {
 public:
  explicit Budget(uint64_t limit) : limit_(limit) {}

  // The part of the budget that one call uses; the destructor returns it. For
  // one thread at a time.
  class Reservation {
   public:
    explicit Reservation(Budget& budget) : budget_(budget) {}
    ~Reservation() { budget_.taken_ -= amount_; }
    Reservation(const Reservation&) = delete;
    Reservation& operator=(const Reservation&) = delete;

    // Changes the reservation to `amount`. If the budget has too little left,
    // returns RESOURCE_EXHAUSTED "FIELD: ..." and changes nothing. The error
    // has a RetryInfo, unless the amount exceeds the whole budget.
    absl::Status Resize(absl::string_view field, uint64_t amount);

   private:
    Budget& budget_;
    uint64_t amount_ = 0;
  };

  uint64_t taken() const { return taken_; }

 private:
  const uint64_t limit_;
  std::atomic<uint64_t> taken_ = 0;
};

// The budgets of a server.
struct Budgets {
  explicit Budgets(const Limits& limits)
      : request_bytes(limits.all_request_bytes),
        answer_bytes(limits.all_answer_bytes),
        generated_words(limits.all_generated_words),
        state_bytes(limits.all_state_bytes) {}

  Budget request_bytes;    // memory of requests that are being answered
  Budget answer_bytes;     // bytes that clients have not yet read
  Budget generated_words;  // words that running Generate calls may still write
  Budget state_bytes;      // memory of contexts and hypotheses, and of the
                           // candidates that are compared
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_ADMISSION_BUDGET_H_
