// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer recurrent: trains an RNN, GRU or LSTM language model.

#include <utility>

#include "absl/strings/str_cat.h"
#include "models/model_factory.h"
#include "models/neural/network_weights.h"
#include "trainer/commands/command.h"
#include "trainer/commands/neural_options.h"
#include "trainer/commands/train_network.h"

namespace lmserve {
namespace {

struct RecurrentCommandOptions : NeuralOptions {
  std::string cell = "lstm";
  std::string nonlinearity = "tanh";
  RecurrentNetworkOptions network;
  bool stream = false;
};

std::map<std::string, std::string> Properties(
    const RecurrentCommandOptions& options) {
  const RecurrentNetworkOptions& n = options.network;
  std::map<std::string, std::string> properties = {
      {"cell", options.cell},
      {"layers", absl::StrCat(n.stack.layers)},
      {"units", absl::StrCat(n.stack.units)},
      {"embedding", absl::StrCat(n.embedding)},
      {"dropout", absl::StrCat(n.stack.dropout)},
      {"initial_range", absl::StrCat(n.initial_range)},
      {"output", n.tied ? "tied" : "separate"},
      {"text", options.stream ? "stream" : "sentences"},
  };
  if (n.stack.cell == Cell::kRnn) {
    properties["nonlinearity"] = options.nonlinearity;
    if (n.identity) properties["start"] = "identity";
  }
  if (n.stack.weight_drop > 0) {
    properties["weight_drop"] = absl::StrCat(n.stack.weight_drop);
  }
  if (!options.cutoffs.empty()) properties["adaptive"] = options.cutoffs;
  if (options.products != "float") properties["products"] = options.products;
  return properties;
}

// Sets the options of the network that follow from the vocabulary and from
// other options.
absl::Status CompleteNetwork(const Vocabulary& vocabulary,
                             RecurrentCommandOptions* options) {
  RecurrentNetworkOptions& network = options->network;
  absl::StatusOr<Cutoffs> cutoffs =
      ParseCutoffs(options->cutoffs, vocabulary,
                   NeverPredicted(vocabulary, network.stack.bidirectional));
  if (!cutoffs.ok()) return cutoffs.status();
  const absl::StatusOr<ProductPrecision> products = ReadProducts(*options);
  if (!products.ok()) return products.status();
  network.stack.products = *products;
  network.vocabulary = vocabulary.size();
  network.never = vocabulary.begin_sentence();
  network.cutoffs = *std::move(cutoffs);
  network.stack.cell = *ParseCell(options->cell);
  network.stack.activation = *ParseActivation(options->nonlinearity);
  if (network.embedding == 0) network.embedding = network.stack.units;
  network.carry_state = options->stream;
  const size_t directions = network.stack.bidirectional ? 2 : 1;
  if (network.tied && network.embedding != network.stack.units * directions) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--tied: expected --embedding ", network.stack.units * directions,
        ", the size of the last layer's output, found ", network.embedding));
  }
  return absl::OkStatus();
}

// Returns a function that makes the batches of a text.
auto BatchMaker(const RecurrentCommandOptions& options,
                const Vocabulary& vocabulary) {
  const WordId begin = vocabulary.begin_sentence();
  const WordId end = vocabulary.end_sentence();
  const WordId unknown = vocabulary.unknown();
  return [=, &options](absl::Span<const WordId> words) {
    if (options.network.stack.bidirectional) {
      return MakeClozeBatches(words, begin, end, unknown, options.batches);
    }
    return options.stream
               ? MakeStreamBatches(words, begin, end, options.batches)
               : MakeSentenceBatches(words, begin, end, options.batches);
  };
}

absl::Status Train(RecurrentCommandOptions options) {
  const bool bidirectional = options.network.stack.bidirectional;
  if (options.stream && bidirectional) {
    return absl::InvalidArgumentError(
        "--stream: a bidirectional network reads sentence by sentence");
  }
  absl::StatusOr<TrainingTexts> texts = ReadTrainingTexts(
      options, options.stream ? TextForm::kStream : TextForm::kSentences);
  if (!texts.ok()) return texts.status();
  const Vocabulary& vocabulary = texts->corpus.vocabulary;
  absl::Status status = CompleteNetwork(vocabulary, &options);
  if (!status.ok()) return status;
  const auto make_batches = BatchMaker(options, vocabulary);
  TrainingJob job = MakeTrainingJob(*std::move(texts), make_batches);
  job.version.family =
      std::string(bidirectional ? kBidirectionalFamily : kRecurrentFamily);
  job.version.properties = Properties(options);
  job.make_network = [network = options.network] {
    return MakeRecurrentNetwork<float>(network);
  };
  job.starts_after_end = options.stream;
  return TrainAndPublish(options, std::move(job));
}

}  // namespace

void AddRecurrentCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<RecurrentCommandOptions>();
  RecurrentNetworkOptions& network = options->network;
  network.stack.units = 200;
  network.stack.layers = 2;
  network.stack.dropout = 0.2;
  cli::App& command = *app.add_subcommand(
      "recurrent",
      "Train an RNN, GRU or LSTM on a text and publish it as a new "
      "version.\n"
      "  lm_trainer recurrent --cell lstm --tied --corpus text.xz --valid "
      "valid.xz --store store --model lstm");
  AddNeuralOptions(command, options.get());
  AddCellOptions(command, &options->cell, &options->nonlinearity);
  command.add_flag("--identity", network.identity,
                   "With --cell rnn: initialize the recurrent weights with the "
                   "identity matrix");
  command
      .add_option("--layers", network.stack.layers,
                  "Number of recurrent layers")
      ->check(cli::Range(1, 8))
      ->capture_default_str();
  command.add_option("--units", network.stack.units, "Units per layer")
      ->check(cli::Range(1, 16'384))
      ->capture_default_str();
  AddEmbeddingOptions(command, "Embeddings", &network.embedding, &network.tied,
                      &network.initial_range);
  command.add_flag("--bidirectional", network.stack.bidirectional,
                   "Read each sentence in both directions. The model predicts "
                   "a word from all other words of the sentence: it can fill "
                   "gaps, but not generate text");
  command
      .add_option("--dropout", network.stack.dropout,
                  "Dropout rate of the embeddings and of every layer's output")
      ->check(cli::Range(0.0, 0.99))
      ->capture_default_str();
  command
      .add_option("--weight-drop", network.stack.weight_drop,
                  "Dropout rate of the recurrent weights: each batch is read "
                  "without this share of the recurrent connections")
      ->check(cli::Range(0.0, 0.99))
      ->capture_default_str();
  command.add_flag("--stream", options->stream,
                   "Read the text as one stream: the state is kept from one "
                   "sentence to the next");
  command
      .add_option("--steps", options->batches.steps,
                  "Words of each stream per update (truncated "
                  "backpropagation through time)")
      ->check(cli::Range(1, 10'000))
      ->capture_default_str();
  command.callback([=] { *action = [=] { return Train(*options); }; });
}

}  // namespace lmserve
