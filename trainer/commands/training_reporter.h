// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COMMANDS_TRAINING_REPORTER_H_
#define LMSERVE_TRAINER_COMMANDS_TRAINING_REPORTER_H_

#include <cstdint>

#include "trainer/neural/training_log.h"
#include "trainer/text/status_line.h"

namespace lmserve {

// Shows on the standard error how a training progresses: one line per epoch
// and, during an epoch, a status line that is updated with every record on a
// terminal and at most every 30 seconds elsewhere. Not thread-safe.
class TrainingReporter {
 public:
  explicit TrainingReporter(uint64_t epochs) : epochs_(epochs) {}

  // Reports a record. `done` is the fraction of the training that is done, from
  // 0 to 1.
  void Report(const TrainingRecord& record, double done);

 private:
  // Means over the records of one epoch so far. Every record covers the same
  // number of steps.
  class EpochMeans {
   public:
    void Add(const TrainingRecord& record) {
      ++records_;
      losses_ += record.train_loss;
      seconds_per_word_ += 1 / record.words_per_second;
    }

    double Loss() const { return losses_ / records_; }
    double WordsPerSecond() const { return records_ / seconds_per_word_; }

   private:
    double records_ = 0;
    double losses_ = 0;
    double seconds_per_word_ = 0;
  };

  const uint64_t epochs_;
  const StatusLine line_;
  EpochMeans epoch_;
  double printed_ =
      0;  // when the last line was printed, in seconds of training
};

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COMMANDS_TRAINING_REPORTER_H_
