// SPDX-License-Identifier: Apache-2.0
#include "trainer/text/progress.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace lmserve {
namespace {

double Seconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

std::string FormatRate(uint64_t words, double seconds) {
  return absl::StrFormat("%d words, %.0f words/s", words,
                         words / std::max(seconds, 1e-9));
}

}  // namespace

Progress::Progress(std::string label, bool quiet)
    : label_(std::move(label)),
      quiet_(quiet),
      start_(Clock::now()),
      printed_(start_) {}

void Progress::Check(uint64_t words, double fraction) {
  countdown_ = kCallsPerClockReading;
  const Clock::time_point now = Clock::now();
  const double interval = line_.is_terminal() ? 0.2 : 10;
  if (quiet_ || Seconds(now - printed_) < interval) return;
  printed_ = now;
  const double seconds = Seconds(now - start_);
  std::string text = FormatRate(words, seconds);
  if (fraction > 0) {
    absl::StrAppendFormat(&text, ", %.0f %%, %.0f s left", 100 * fraction,
                          seconds * (1 - fraction) / fraction);
  }
  Print(text, /*is_last=*/false);
}

void Progress::Finish(uint64_t words) {
  if (quiet_) return;
  const double seconds = Seconds(Clock::now() - start_);
  Print(absl::StrFormat("%s, %.1f s", FormatRate(words, seconds), seconds),
        /*is_last=*/true);
}

void Progress::Print(absl::string_view text, bool is_last) const {
  line_.Show(absl::StrCat(label_, ": ", text), is_last);
}

}  // namespace lmserve
