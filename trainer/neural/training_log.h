// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NEURAL_TRAINING_LOG_H_
#define LMSERVE_TRAINER_NEURAL_TRAINING_LOG_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// Measurements of a training at one moment. Means are over the steps since the
// previous record. Numbers may be NaN or infinite if the training diverged.
struct TrainingRecord {
  int epoch = 0;
  uint64_t step = 0;
  double seconds = 0;  // training time so far
  uint64_t words = 0;  // words predicted so far
  double words_per_second = 0;
  double learning_rate = 0;
  double train_loss = 0;                            // nats per word, mean
  std::optional<double> valid_loss = std::nullopt;  // nats per word
  // Of a network that labels: the fraction of the labels of the validation text
  // that it gets wrong, from 0 to 1.
  std::optional<double> valid_error = std::nullopt;
  // The norm of the gradient before clipping, mean and maximum, and the
  // fraction of the steps whose gradient was clipped, from 0 to 1.
  double gradient_norm = 0;
  double max_gradient_norm = 0;
  double clipped_share = 0;
  // The mean norm of the gradient of each layer, by name, the first layer
  // first.
  std::vector<std::pair<std::string, double>> layer_gradient_norms = {};
  std::string note = {};  // for the user
};

// Returns a line with a JSON object: the fields by their names, plus
// train_perplexity and valid_perplexity. Numbers that are not finite become
// null. valid_loss and valid_perplexity, and valid_error, are omitted if they
// were not measured.
std::string ToJsonLine(const TrainingRecord& record);

// The records of one training in chronological order. Not thread-safe.
class TrainingLog {
 public:
  // Parses the result of ToJsonLines(). Null becomes NaN, and unknown keys are
  // ignored. Fails with INVALID_ARGUMENT for any other text, such as one with
  // an incomplete last line; the message has the line number and the key.
  static absl::StatusOr<TrainingLog> Parse(absl::string_view text);

  void Add(TrainingRecord record) { records_.push_back(std::move(record)); }

  const std::vector<TrainingRecord>& records() const { return records_; }

  // Returns one line per record.
  std::string ToJsonLines() const;

  // Returns the perplexities as a short text, for pictures: at most `most`
  // records "WORDS:TRAINING:VALIDATION", separated by spaces, evenly chosen of
  // those with a number; all with a validation come first in the choice.
  // VALIDATION is empty where it was not measured. REQUIRES: most > 0.
  std::string Curve(size_t most) const;

 private:
  std::vector<TrainingRecord> records_;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_TRAINING_LOG_H_
