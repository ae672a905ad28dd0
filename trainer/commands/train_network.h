// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COMMANDS_TRAIN_NETWORK_H_
#define LMSERVE_TRAINER_COMMANDS_TRAIN_NETWORK_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "models/vocabulary.h"
#include "trainer/commands/neural_options.h"
#include "trainer/neural/batches.h"
#include "trainer/neural/network.h"
#include "trainer/neural/publish_network.h"
#include "trainer/text/corpus.h"
#include "trainer/text/sentences.h"

namespace lmserve {

// The texts of a language model's training: --corpus and --valid. The words of
// both are ids of the corpus's vocabulary.
struct TrainingTexts {
  Corpus corpus;
  std::vector<WordId> validation;  // in the form of Corpus::words
};

// Reads them. Fails before it reads if the name of the model is not valid.
absl::StatusOr<TrainingTexts> ReadTrainingTexts(const NeuralOptions& options,
                                                TextForm form);

// A network to train and the data to train it on.
struct TrainingJob {
  // What to publish. The command sets family, the properties of the
  // architecture, and additional files; training adds the weights, the log and
  // the properties of the training.
  NetworkVersion version;
  Vocabulary vocabulary;
  std::function<std::unique_ptr<Network<float>>()> make_network;
  std::unique_ptr<BatchSource> training, validation;
  std::string fingerprint;  // of the texts: identifies them in checkpoints
  uint64_t sentences = 0, tokens = 0;
  // If set, <s> gets the embedding of </s> after training. A network that was
  // trained on a stream has only seen texts that start after a </s>.
  bool starts_after_end = false;
};

// Makes the job of a language model, except for the version's family and
// properties, and make_network. `make_batches` is called for both texts.
TrainingJob MakeTrainingJob(
    TrainingTexts texts,
    absl::FunctionRef<std::unique_ptr<BatchSource>(absl::Span<const WordId>)>
        make_batches);

// Trains the network, publishes it as the next version and prints the
// version's name. The checkpoint of the training is in the store; it is removed
// after the version has been published.
absl::Status TrainAndPublish(const NeuralOptions& options, TrainingJob job);

// Returns a hash of a text, to recognize the text of a checkpoint.
uint64_t Fingerprint(absl::Span<const WordId> words);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COMMANDS_TRAIN_NETWORK_H_
