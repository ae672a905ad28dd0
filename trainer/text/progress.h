#ifndef LMSERVE_TRAINER_TEXT_PROGRESS_H_
#define LMSERVE_TRAINER_TEXT_PROGRESS_H_

#include <chrono>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"

namespace lmserve {

// Tells a person how far a long work has come, on the standard error: a line
// that is written over on a terminal, a plain line every ten seconds elsewhere.
// One thread at a time.
class Progress {
 public:
  // The label names the work, "reading"; quiet says nothing at all.
  explicit Progress(std::string label, bool quiet = false);

  // Call as often as you like. The share is what is done, 0 to 1, or negative
  // where nobody knows.
  void Update(uint64_t words, double share) {
    if (--countdown_ == 0) Check(words, share);
  }

  // Says how much was done in which time.
  void Finish(uint64_t words);

 private:
  using Clock = std::chrono::steady_clock;

  static constexpr int kCallsAClockReading = 256;

  void Check(uint64_t words, double share);
  void Print(absl::string_view text, bool last);

  const std::string label_;
  const bool quiet_;
  const bool terminal_;
  const Clock::time_point start_;
  Clock::time_point printed_;
  int countdown_ = kCallsAClockReading;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_TEXT_PROGRESS_H_
