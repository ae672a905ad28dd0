// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_TEXT_PROGRESS_H_
#define LMSERVE_TRAINER_TEXT_PROGRESS_H_

#include <chrono>
#include <cstdint>
#include <string>

#include "absl/strings/string_view.h"
#include "trainer/text/status_line.h"

namespace lmserve {

// Shows on the standard error how many words a long operation has processed: at
// most every 0.2 seconds on a terminal, every 10 seconds elsewhere. Not
// thread-safe.
class Progress {
 public:
  // The label names the operation, as in "reading". A quiet Progress prints
  // nothing.
  explicit Progress(std::string label, bool quiet = false);

  // Reports the number of words processed so far, and the fraction of the
  // operation that is done, from 0 to 1; a negative fraction is unknown. Cheap
  // enough to be called for every line of a text.
  void Update(uint64_t words, double fraction) {
    if (--countdown_ == 0) Check(words, fraction);
  }

  // The same for calls that are rare: looks at the clock each time.
  void Show(uint64_t words, double fraction) { Check(words, fraction); }

  // Prints the total number of words and the time that they took.
  void Finish(uint64_t words);

 private:
  using Clock = std::chrono::steady_clock;

  static constexpr int kCallsPerClockReading = 256;

  void Check(uint64_t words, double fraction);
  void Print(absl::string_view text, bool is_last) const;

  const std::string label_;
  const bool quiet_;
  const StatusLine line_;
  const Clock::time_point start_;
  Clock::time_point printed_;
  int countdown_ = kCallsPerClockReading;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_TEXT_PROGRESS_H_
