#ifndef LMSERVE_TRAINER_NEURAL_TRAINING_LOG_H_
#define LMSERVE_TRAINER_NEURAL_TRAINING_LOG_H_

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lmserve {

// What is known of the training of a neural model at one moment. Means are
// over the steps since the record before. Numbers may be NaN or infinite where
// the training has gone wrong.
struct TrainingRecord {
  int epoch = 0;
  uint64_t step = 0;
  double seconds = 0;  // of training so far
  uint64_t words = 0;  // seen so far
  double words_per_second = 0;
  double learning_rate = 0;
  double train_loss = 0;                            // nats a word, mean
  std::optional<double> valid_loss = std::nullopt;  // where it was measured
  // Gradients before clipping: the norm of all of them together, mean and
  // largest, and the share of the steps that were clipped, 0 to 1.
  double gradient_norm = 0;
  double max_gradient_norm = 0;
  double clipped_share = 0;
  // The same by layer, mean. A name stands once, the first layer first.
  std::vector<std::pair<std::string, double>> layer_gradient_norms = {};
  std::string note = {};  // for people
};

// A line with a JSON object: the fields by their names, and train_perplexity
// and valid_perplexity. Null stands for what is no finite number; the keys of
// a valid_loss that was not measured are left out.
std::string ToJsonLine(const TrainingRecord& record);

// The records of one training, in the order of time. One thread at a time.
class TrainingLog {
 public:
  // Reads what ToJsonLines() wrote; null becomes NaN, and keys that nobody
  // knows are passed over. INVALID_ARGUMENT, naming the line and the key, for
  // anything else, as for a last line that was cut off.
  static absl::StatusOr<TrainingLog> Parse(absl::string_view text);

  void Add(TrainingRecord record) { records_.push_back(std::move(record)); }

  const std::vector<TrainingRecord>& records() const { return records_; }

  // A line a record.
  std::string ToJsonLines() const;

 private:
  std::vector<TrainingRecord> records_;
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_TRAINING_LOG_H_
