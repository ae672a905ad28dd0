// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NEURAL_CHECKPOINT_H_
#define LMSERVE_TRAINER_NEURAL_CHECKPOINT_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace lmserve {

// The progress of a training.
struct TrainingProgress {
  uint64_t epoch = 1;  // current epoch, from 1
  uint64_t batch = 0;  // next batch of the epoch
  uint64_t step = 0;   // number of steps done
  uint64_t words = 0;  // number of words predicted
  double seconds = 0;  // time spent
  double learning_rate = 0;
  double best_valid_loss = 0;  // nats per word, of best_epoch
  uint64_t best_epoch = 0;     // 0: no epoch has ended yet
  uint64_t average_epoch = 0;  // the first one that averages the weights, or 0
  uint64_t averaged = 0;       // steps after which weights were averaged
};

// The complete state of a training. A checkpoint file is a safetensors file
// with the arrays as tensors and the other fields in its metadata.
struct Checkpoint {
  // Identifies the training: its options and its texts.
  std::string description;
  TrainingProgress progress;
  std::string log;  // TrainingLog::ToJsonLines()
  // By name: the parameters, the best parameters, the state of the optimizer
  // and the states of the networks.
  std::map<std::string, std::vector<float>> arrays;
};

// Replaces a checkpoint atomically: after a crash, the file has either the old
// or the new one.
absl::Status WriteCheckpoint(const std::string& path,
                             const Checkpoint& checkpoint);

// Reads a checkpoint. Fails with NOT_FOUND if the file does not exist, and with
// INVALID_ARGUMENT if it is not a checkpoint or has another description.
absl::StatusOr<Checkpoint> ReadCheckpoint(const std::string& path,
                                          const std::string& description);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_CHECKPOINT_H_
