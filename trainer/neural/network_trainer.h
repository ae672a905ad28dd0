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

// How the learning rate falls: by steps, where the validation loss no longer
// does, or with every batch in a straight line to 0 at the end of the last
// epoch.
enum class Schedule { kPlateau, kLinear };

// The loss is a mean over the words of a batch, as in PyTorch: learning rate
// and clip are to be read on that scale.
struct TrainingOptions {
  uint64_t epochs = 6;
  OptimizerKind optimizer = OptimizerKind::kSgd;
  double learning_rate = 20;
  double clip = 0.25;  // of the norm of the whole gradient; 0: none
  double weight_decay = 0;
  Schedule schedule = Schedule::kPlateau;
  // Where an epoch does not better the validation loss, the rate of kPlateau is
  // multiplied by this; after so many epochs in a row training stops, 0: never.
  double decay = 0.25;
  uint64_t patience = 5;
  uint64_t seed = 1;
  size_t threads = 1;  // each has a part of every batch
  // A file to go on from after a crash; empty: none. Its description tells the
  // training from others.
  std::string checkpoint;
  std::string description;
  double checkpoint_seconds = 60;
  bool resume = false;
  // Called with every record: the share of the work that is done, 0 to 1.
  std::function<void(const TrainingRecord&, double)> report;
};

struct TrainedNetwork {
  std::vector<float> values;  // of the best epoch
  TrainingProgress progress;  // at the end
  TrainingLog log;
};

// Trains networks alike, one a thread, on the batches of a text, and keeps the
// parameters that do best on a validation text. The same options give the same
// bits, also where the work was cut off and went on from its checkpoint. Fails
// with DATA_LOSS, telling the step, where the loss or the gradient is not
// finite; with what reading and writing the checkpoint fail with.
absl::StatusOr<TrainedNetwork> TrainNetwork(
    const std::function<std::unique_ptr<Network<float>>()>& make_network,
    BatchSource& training, BatchSource& validation,
    const TrainingOptions& options);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_NETWORK_TRAINER_H_
