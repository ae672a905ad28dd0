#ifndef LMSERVE_TRAINER_COMMANDS_NEURAL_COMMAND_H_
#define LMSERVE_TRAINER_COMMANDS_NEURAL_COMMAND_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "trainer/commands/command.h"
#include "trainer/neural/batches.h"
#include "trainer/neural/network.h"
#include "trainer/neural/network_trainer.h"
#include "trainer/text/corpus.h"

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

// --cell and --nonlinearity.
void AddCellOptions(CLI::App& command, std::string* cell,
                    std::string* nonlinearity);
// --embedding, --tied and --initial-range, the last of the vectors `what`.
void AddVectorOptions(CLI::App& command, absl::string_view what,
                      size_t* embedding, bool* tied, double* initial_range);

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
// after </s>.
absl::Status TrainLanguageModel(
    const NeuralOptions& options,
    const std::function<absl::StatusOr<NetworkTask>(const Vocabulary&)>&
        make_task,
    TextForm form);

// A network to train on texts that were read, and what to publish it with.
struct TrainingJob {
  std::string family;
  std::map<std::string, std::string> properties;  // of its architecture
  std::function<std::unique_ptr<Network<float>>()> make_network;
  std::unique_ptr<BatchSource> training, validation;
  std::string texts;  // tells them from others, for the checkpoint
  uint64_t sentences = 0, tokens = 0;
  Vocabulary vocabulary;
  bool starts_after_end = false;             // <s> gets the embedding of </s>
  std::map<std::string, std::string> files;  // more of them
  std::vector<std::string> self_test;
  std::vector<std::string> self_test_sources = {};
};
absl::Status TrainAndPublish(const NeuralOptions& options, TrainingJob job);

// A number that tells one text from another.
uint64_t Fingerprint(absl::Span<const WordId> words);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COMMANDS_NEURAL_COMMAND_H_
