// SPDX-License-Identifier: Apache-2.0
#include "trainer/commands/neural_options.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model_store/processors.h"

namespace lmserve {
namespace {

// Sets the defaults of options that depend on the optimizer or the machine.
void SetTrainingDefaults(TrainingOptions* training) {
  training->learning_rate = 0.002;
  training->clip = 1;
  training->decay = 0.5;
  training->threads = AvailableProcessors();
}

void AddTextOptions(cli::App& command, NeuralOptions* options) {
  AddCorpusOptions(command, "Text to train on", &options->corpus,
                   &options->text.rules);
  AddValidOption(command, options);
  AddVocabularyOptions(command, &options->text);
}

void AddOptimizerOptions(cli::App& command, NeuralOptions* options) {
  TrainingOptions& training = options->training;
  command.add_option("--epochs", training.epochs, "Passes over the text")
      ->check(cli::Range(1, 100'000))
      ->capture_default_str();
  command.add_option("--optimizer", options->optimizer, "sgd or adam")
      ->check(cli::IsMember({"sgd", "adam"}))
      ->capture_default_str();
  command
      .add_option("--learning-rate", training.learning_rate,
                  "Initial learning rate, for a loss that is the mean over the "
                  "words of a batch")
      ->check(cli::PositiveNumber())
      ->capture_default_str();
  command
      .add_option("--clip", training.clip,
                  "Maximum norm of the gradient; longer gradients are scaled "
                  "down to it; 0: no limit")
      ->check(cli::NonNegativeNumber())
      ->capture_default_str();
  command
      .add_option("--weight-decay", training.weight_decay,
                  "Each update reduces the weights by this fraction times the "
                  "learning rate")
      ->check(cli::NonNegativeNumber())
      ->capture_default_str();
  command
      .add_option("--schedule", options->schedule,
                  "How the learning rate decreases: plateau (whenever the "
                  "validation loss does not improve) or linear (with every "
                  "batch, down to 0 at the end of the last epoch)")
      ->check(cli::IsMember({"plateau", "linear"}))
      ->capture_default_str();
  command
      .add_option("--decay", training.decay,
                  "With --schedule plateau: factor of the learning rate after "
                  "an epoch without improvement")
      ->check(cli::Range(0.0, 1.0))
      ->capture_default_str();
  command
      .add_option("--average", training.average_after,
                  "After this many epochs in a row without improvement, begin "
                  "to average the weights over all later steps, as in averaged "
                  "SGD; the learning rate then stays as it is; 0: never")
      ->capture_default_str();
  command
      .add_option("--patience", training.patience,
                  "Stop after this many epochs in a row without improvement, "
                  "counted again once --average begins; 0: never")
      ->capture_default_str();
}

void AddRunOptions(cli::App& command, TrainingOptions* training) {
  command
      .add_option("--seed", training->seed,
                  "Seed of the initial weights, the order of the batches and "
                  "the dropout")
      ->capture_default_str();
  command
      .add_option("--threads", training->threads,
                  "Threads that share each batch. A different number changes "
                  "the rounding, and so the result, slightly")
      ->check(cli::Range(1, 256))
      ->capture_default_str();
  command.add_flag("--resume", training->resume,
                   "Continue an interrupted training from its checkpoint");
  command
      .add_option("--checkpoint-seconds", training->checkpoint_seconds,
                  "Time between checkpoints; one is also written after each "
                  "epoch")
      ->check(cli::NonNegativeNumber())
      ->capture_default_str();
}

}  // namespace

void AddNeuralOptions(cli::App& command, NeuralOptions* options) {
  AddTextOptions(command, options);
  command.add_option(
      "--adaptive", options->cutoffs,
      "Use an adaptive softmax: divide the vocabulary, ordered by frequency, "
      "into classes that begin at these word ids, as in 4000,14000");
  AddTrainingOptions(command, options);
}

void AddValidOption(cli::App& command, NeuralOptions* options) {
  command
      .add_option("--valid", options->valid,
                  "Validation text. The weights of the epoch with the lowest "
                  "loss on it are published, or with the fewest errors if the "
                  "network labels; the loss also controls the learning rate "
                  "and when training stops")
      ->required();
}

void AddTrainingOptions(cli::App& command, NeuralOptions* options) {
  SetTrainingDefaults(&options->training);
  command
      .add_option("--batch", options->batches.streams,
                  "Maximum number of texts or windows in a batch")
      ->check(cli::Range(1, 100'000))
      ->capture_default_str();
  AddOptimizerOptions(command, options);
  AddRunOptions(command, &options->training);
  AddPrecisionOption(command, &options->precision)->capture_default_str();
  command
      .add_option("--products", options->products,
                  "Precision of the operands of the matrix products: float, or "
                  "bf16, with which large networks train up to twice as fast "
                  "on processors with AMX. Weights and sums stay float")
      ->check(cli::IsMember({"float", "bf16"}))
      ->capture_default_str();
  AddTargetOptions(command, &options->target);
}

absl::StatusOr<ProductPrecision> ReadProducts(const NeuralOptions& options) {
  if (options.products == "float") return ProductPrecision::kFloat;
  if (HasBf16Products()) return ProductPrecision::kBf16;
  return absl::FailedPreconditionError(
      "--products bf16: expected a processor with AVX-512 BF16 or AMX, found "
      "one without");
}

void AddCellOptions(cli::App& command, std::string* cell,
                    std::string* nonlinearity) {
  command.add_option("--cell", *cell, "Recurrent cell: rnn, gru or lstm")
      ->check(cli::IsMember({"rnn", "gru", "lstm"}))
      ->capture_default_str();
  command
      .add_option("--nonlinearity", *nonlinearity,
                  "With --cell rnn: sigmoid, tanh or relu")
      ->check(cli::IsMember({"sigmoid", "tanh", "relu"}))
      ->capture_default_str();
}

void AddEmbeddingOptions(cli::App& command, absl::string_view embeddings,
                         size_t* embedding, bool* tied, double* initial_range) {
  command
      .add_option("--embedding", *embedding,
                  "Size of a word embedding (default: the number of units)")
      ->check(cli::Range(1, 16'384));
  command.add_flag("--tied", *tied,
                   "Use the word embeddings as the output weights, too");
  command
      .add_option("--initial-range", *initial_range,
                  absl::StrCat(embeddings, " and output weights are initially ",
                               "uniform in [-range, range]"))
      ->check(cli::PositiveNumber())
      ->capture_default_str();
}

}  // namespace lmserve
