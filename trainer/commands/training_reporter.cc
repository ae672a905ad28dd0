// SPDX-License-Identifier: Apache-2.0
#include "trainer/commands/training_reporter.h"

#include <cmath>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace lmserve {
namespace {

std::string FormatDuration(double seconds) {
  const auto s = static_cast<int64_t>(seconds);
  return s < 3600
             ? absl::StrFormat("%d:%02d", s / 60, s % 60)
             : absl::StrFormat("%d:%02d:%02d", s / 3600, s / 60 % 60, s % 60);
}

}  // namespace

void TrainingReporter::Report(const TrainingRecord& record, double done) {
  constexpr double kSecondsBetweenLines = 30;  // unless on a terminal
  const bool ends_epoch = record.valid_loss.has_value();
  epoch_.Add(record);
  const EpochMeans epoch =
      ends_epoch ? std::exchange(epoch_, EpochMeans()) : epoch_;
  if (!line_.is_terminal() && !ends_epoch &&
      record.seconds < printed_ + kSecondsBetweenLines) {
    return;
  }
  printed_ = record.seconds;
  std::string line = absl::StrFormat(
      "epoch %d/%d  %7.0f words/s  perplexity %9.2f", record.epoch, epochs_,
      epoch.WordsPerSecond(), std::exp(epoch.Loss()));
  if (record.valid_loss.has_value()) {
    absl::StrAppendFormat(&line, "  valid %9.2f", std::exp(*record.valid_loss));
  }
  if (record.valid_error.has_value()) {
    absl::StrAppendFormat(&line, "  accuracy %6.2f %%",
                          100 * (1 - *record.valid_error));
  }
  absl::StrAppendFormat(&line, "  rate %g  gradient %.3g", record.learning_rate,
                        record.gradient_norm);
  if (done > 0) {
    absl::StrAppend(&line, "  left ",
                    FormatDuration(record.seconds * (1 - done) / done));
  }
  line_.Show(line, ends_epoch);
}

}  // namespace lmserve
