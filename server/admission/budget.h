#ifndef LMSERVE_SERVER_ADMISSION_BUDGET_H_
#define LMSERVE_SERVER_ADMISSION_BUDGET_H_

#include <atomic>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/call/limits.h"

namespace lmserve {

// What all calls together may take of something, such as memory. Any number of
// threads may use one; it must outlive the shares.
class Budget {
 public:
  explicit Budget(uint64_t limit) : limit_(limit) {}

  // What one call has of it; given back when it dies. One thread at a time.
  class Reservation {
   public:
    explicit Reservation(Budget& budget) : budget_(budget) {}
    ~Reservation() { budget_.taken_ -= amount_; }
    Reservation(const Reservation&) = delete;
    Reservation& operator=(const Reservation&) = delete;

    // Takes more, or gives some back. Where the budget has not so much left,
    // RESOURCE_EXHAUSTED "FIELD: ...", with a RetryInfo unless it never has,
    // and nothing changes.
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

// Those of a server.
struct Budgets {
  explicit Budgets(const Limits& limits)
      : request_bytes(limits.all_request_bytes),
        answer_bytes(limits.all_answer_bytes),
        generated_words(limits.all_generated_words),
        state_bytes(limits.all_state_bytes) {}

  Budget request_bytes;    // of requests that are being answered
  Budget answer_bytes;     // of answers that are on their way
  Budget generated_words;  // that Generate calls may still write
  Budget state_bytes;      // of contexts, hypotheses, and candidates compared
};

}  // namespace lmserve

#endif  // LMSERVE_SERVER_ADMISSION_BUDGET_H_
