// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_NEURAL_NETWORK_TRAINER_H_
#define LMSERVE_TRAINER_NEURAL_NETWORK_TRAINER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "trainer/neural/batches.h"
#include "trainer/neural/checkpoint.h"
#include "trainer/neural/network.h"
#include "trainer/neural/optimizer.h"
#include "trainer/neural/training_log.h"

namespace lmserve {

// How the learning rate decreases.
enum class Schedule {
  kPlateau,  // after each epoch that does not improve the validation loss
  kLinear,   // with every batch, to 0 at the end of the last epoch
};

// The learning rate and the clip apply to a loss that is the mean over the
// words of a batch, as in PyTorch.
struct TrainingOptions {
  uint64_t epochs = 6;
  OptimizerKind optimizer = OptimizerKind::kSgd;
  double learning_rate = 20;
  double clip = 0.25;  // maximum norm of the gradient; 0: no limit
  double weight_decay = 0;
  Schedule schedule = Schedule::kPlateau;
  // After an epoch that does not improve the validation loss, kPlateau
  // multiplies the learning rate by this factor.
  double decay = 0.25;
  // After this many epochs in a row without improvement, the weights begin to
  // be averaged: the result of each later epoch is the mean of the weights
  // after all steps since then (Polyak and Juditsky 1992; the condition is that
  // of Merity et al. 2017). kPlateau then leaves the learning rate as it is. 0:
  // never.
  uint64_t average_after = 0;
  // Training stops after this many epochs in a row without improvement, or
  // without improvement since averaging began; 0: never.
  uint64_t patience = 5;
  uint64_t seed = 1;
  size_t threads = 1;  // each processes a part of every batch
  // A file from which an interrupted training can be resumed; empty: no file.
  std::string checkpoint;
  // Identifies the training in the checkpoint: its options and its texts.
  std::string description;
  double checkpoint_seconds = 60;  // time between checkpoints within an epoch
  bool resume = false;             // start from the checkpoint
  // Called with every record and the fraction of the training that is done,
  // from 0 to 1.
  std::function<void(const TrainingRecord&, double)> report;
};

struct TrainedNetwork {
  std::vector<float> values;  // of the best epoch
  TrainingProgress progress;  // at the end of the training
  TrainingLog log;
};

// Trains a network on the batches of a text and returns the parameters of the
// epoch with the lowest loss on a validation text or, for a network that
// labels, with the fewest errors there. `make_network` is called
// once per thread and must return identical networks. The same options give the
// same bits, even if the training was interrupted and resumed. Fails with
// DATA_LOSS if the loss or the gradient is not finite (the message has the
// step), and if the checkpoint cannot be read or written.
//
// Of Network::table(), each step reads and updates only the rows of the batch's
// words, which saves much time where a batch has few of many words: what Adam
// would have done to a row in the steps between follows when its word comes
// again or the epoch ends. The result is that of an update of the whole table
// in every step, up to rounding; see Optimizer::Skip(). With weight decay,
// every step updates the whole table.
absl::StatusOr<TrainedNetwork> TrainNetwork(
    const std::function<std::unique_ptr<Network<float>>()>& make_network,
    BatchSource& training, BatchSource& validation,
    const TrainingOptions& options);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_NETWORK_TRAINER_H_
