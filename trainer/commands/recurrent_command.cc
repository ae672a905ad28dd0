// lm_trainer recurrent: trains an RNN, GRU or LSTM on a text, publishes it.

#include <utility>

#include "absl/strings/str_cat.h"
#include "models/model_factory.h"
#include "models/neural/network_weights.h"
#include "trainer/commands/neural_command.h"

namespace lmserve {
namespace {

struct Options : NeuralOptions {
  std::string cell = "lstm";
  std::string nonlinearity = "tanh";
  RecurrentNetworkOptions network;
  bool stream = false;
};

std::map<std::string, std::string> Properties(const Options& options) {
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
  if (!options.cutoffs.empty()) properties["adaptive"] = options.cutoffs;
  return properties;
}

absl::StatusOr<NetworkTask> MakeTask(Options options,
                                     const Vocabulary& vocabulary) {
  RecurrentNetworkOptions& network = options.network;
  absl::StatusOr<Cutoffs> cutoffs =
      ParseCutoffs(options.cutoffs, vocabulary,
                   NeverPredicted(vocabulary, network.stack.bidirectional));
  if (!cutoffs.ok()) return cutoffs.status();
  network.vocabulary = vocabulary.size();
  network.never = vocabulary.begin_sentence();
  network.cutoffs = *std::move(cutoffs);
  network.stack.cell = *ParseCell(options.cell);
  network.stack.activation = *ParseActivation(options.nonlinearity);
  if (network.embedding == 0) network.embedding = network.stack.units;
  network.carry_state = options.stream;
  const size_t directions = network.stack.bidirectional ? 2 : 1;
  if (network.tied && network.embedding != network.stack.units * directions) {
    return absl::InvalidArgumentError(
        absl::StrCat("--tied: expected an embedding as wide as the features ",
                     "of the output, ", network.stack.units * directions,
                     ", found ", network.embedding));
  }
  NetworkTask task;
  task.family = std::string(network.stack.bidirectional ? kBidirectionalFamily
                                                        : kRecurrentFamily);
  task.properties = Properties(options);
  task.make_network = [network] {
    return MakeRecurrentNetwork<float>(network);
  };
  const WordId begin = vocabulary.begin_sentence();
  const WordId end = vocabulary.end_sentence();
  const WordId unknown = vocabulary.unknown();
  task.make_batches = [=](absl::Span<const WordId> words) {
    if (network.stack.bidirectional) {
      return MakeClozeBatches(words, begin, end, unknown, options.batches);
    }
    return options.stream
               ? MakeStreamBatches(words, begin, end, options.batches)
               : MakeSentenceBatches(words, begin, end, options.batches);
  };
  return task;
}

absl::Status Train(const Options& options) {
  if (options.stream && options.network.stack.bidirectional) {
    return absl::InvalidArgumentError(
        "--stream: a bidirectional network reads sentences");
  }
  return TrainLanguageModel(
      options,
      [&](const Vocabulary& vocabulary) {
        return MakeTask(options, vocabulary);
      },
      options.stream ? TextForm::kStream : TextForm::kSentences);
}

}  // namespace

void AddRecurrentCommand(CLI::App& app, Work* work) {
  auto options = std::make_shared<Options>();
  RecurrentNetworkOptions& network = options->network;
  network.stack.units = 200;
  network.stack.layers = 2;
  network.stack.dropout = 0.2;
  CLI::App& command = *app.add_subcommand(
      "recurrent",
      "Train an RNN, GRU or LSTM on a text and publish it as the next "
      "version.\n"
      "  lm_trainer recurrent --cell lstm --tied --corpus text.xz --valid "
      "valid.xz --store store --model lstm");
  AddNeuralOptions(command, options.get());
  AddCellOptions(command, &options->cell, &options->nonlinearity);
  command.add_flag("--identity", network.identity,
                   "Start the cell rnn's recurrent weights at the identity");
  command.add_option("--layers", network.stack.layers, "Recurrent layers")
      ->check(CLI::Range(1, 8))
      ->capture_default_str();
  command.add_option("--units", network.stack.units, "Units of a layer")
      ->check(CLI::Range(1, 16'384))
      ->capture_default_str();
  AddVectorOptions(command, "Embedding", &network.embedding, &network.tied,
                   &network.initial_range);
  command.add_flag("--bidirectional", network.stack.bidirectional,
                   "Read sentences from both sides: fills blanks, does not "
                   "generate");
  command
      .add_option("--dropout", network.stack.dropout,
                  "Of embedding, between layers, and of the last")
      ->check(CLI::Range(0.0, 0.99))
      ->capture_default_str();
  command.add_flag("--stream", options->stream,
                   "Read the text as one stream, the state going on over the "
                   "ends of sentences, instead of sentence by sentence");
  command
      .add_option("--steps", options->batches.steps,
                  "Words of a stream between two updates (truncated "
                  "back-propagation through time)")
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  command.callback([=] { *work = [=] { return Train(*options); }; });
}

}  // namespace lmserve
