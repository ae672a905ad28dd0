#ifndef LMSERVE_TRAINER_NEURAL_COMMAND_H_
#define LMSERVE_TRAINER_NEURAL_COMMAND_H_

#include <CLI/CLI.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "trainer/command.h"
#include "trainer/corpus.h"
#include "trainer/neural/batches.h"
#include "trainer/neural/network.h"
#include "trainer/neural/network_trainer.h"

namespace lmserve {

// What the commands that train neural networks have in common.
struct NeuralOptions {
  ModelOptions target;
  std::string corpus;
  std::string valid;
  CorpusOptions text;
  BatchOptions batches;
  TrainingOptions training;
  std::string schedule = "plateau";
  std::string optimizer = "adam";
  std::string precision = "float";
  std::string cutoffs;
};

void AddNeuralOptions(CLI::App& command, NeuralOptions* options);

// A network to train, with the way to feed it.
struct NetworkTask {
  std::string family;
  std::map<std::string, std::string> properties;  // of its architecture
  std::function<std::unique_ptr<Network<float>>()> make_network;
  // Makes the batches of a text, whose words are those of a Corpus.
  std::function<std::unique_ptr<BatchSource>(absl::Span<const WordId>)>
      make_batches;
};

// Reads the texts, lets `make_task` say what to train over the vocabulary,
// trains and publishes it. The model of a stream starts as the stream goes on
// after
// </s>.
absl::Status TrainAndPublish(
    const NeuralOptions& options,
    const std::function<absl::StatusOr<NetworkTask>(const Vocabulary&)>&
        make_task,
    TextForm form);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_NEURAL_COMMAND_H_
