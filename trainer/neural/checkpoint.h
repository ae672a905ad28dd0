#ifndef LMSERVE_TRAINER_NEURAL_CHECKPOINT_H_
#define LMSERVE_TRAINER_NEURAL_CHECKPOINT_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace lmserve {

// How far a training has come: all that the next step follows from.
struct TrainingProgress {
  uint64_t epoch = 1;  // that is under way, from 1
  uint64_t batch = 0;  // of the epoch, the next
  uint64_t step = 0;   // steps done in all
  uint64_t words = 0;  // predicted in all
  double seconds = 0;  // of training
  double learning_rate = 0;
  double best_valid_loss = 0;  // nats a word; of best_epoch
  uint64_t best_epoch = 0;     // 0: none yet
};

// A training on its way, as it stands in a file: a safetensors container with
// the numbers as tensors and the rest as JSON in its metadata.
struct Checkpoint {
  // Tells the training that it is of: its options and its text.
  std::string description;
  TrainingProgress progress;
  std::string log;  // TrainingLog::ToJsonLines()
  // By name: the parameters, the best ones, the optimiser's moments, states.
  std::map<std::string, std::vector<float>> arrays;
};

// Puts a checkpoint in the place of the one before; a crash leaves either.
absl::Status WriteCheckpoint(const std::string& path,
                             const Checkpoint& checkpoint);

// NOT_FOUND where there is no file, INVALID_ARGUMENT where it is no checkpoint
// or of a training with another description.
absl::StatusOr<Checkpoint> ReadCheckpoint(const std::string& path,
                                          const std::string& description);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_CHECKPOINT_H_
