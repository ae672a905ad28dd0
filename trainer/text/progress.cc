#include "trainer/text/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace lmserve {
namespace {

double Seconds(std::chrono::steady_clock::duration duration) {
  return std::chrono::duration<double>(duration).count();
}

std::string Rate(uint64_t words, double seconds) {
  return absl::StrFormat("%d words, %.0f words/s", words,
                         words / std::max(seconds, 1e-9));
}

}  // namespace

Progress::Progress(std::string label, bool quiet)
    : label_(std::move(label)),
      quiet_(quiet),
      terminal_(isatty(STDERR_FILENO) != 0),
      start_(Clock::now()),
      printed_(start_) {}

void Progress::Check(uint64_t words, double share) {
  countdown_ = kCallsAClockReading;
  const Clock::time_point now = Clock::now();
  if (quiet_ || Seconds(now - printed_) < (terminal_ ? 0.2 : 10)) return;
  printed_ = now;
  const double seconds = Seconds(now - start_);
  std::string text = Rate(words, seconds);
  if (share > 0) {
    absl::StrAppendFormat(&text, ", %.0f %%, %.0f s left", 100 * share,
                          seconds * (1 - share) / share);
  }
  Print(text, false);
}

void Progress::Finish(uint64_t words) {
  if (quiet_) return;
  const double seconds = Seconds(Clock::now() - start_);
  Print(absl::StrFormat("%s, %.1f s", Rate(words, seconds), seconds), true);
}

void Progress::Print(absl::string_view text, bool last) {
  const std::string line = terminal_ ? absl::StrCat("\r", label_, ": ", text,
                                                    "\x1b[K", last ? "\n" : "")
                                     : absl::StrCat(label_, ": ", text, "\n");
  std::fputs(line.c_str(), stderr);
}

}  // namespace lmserve
