// lm_trainer window: trains a window network on a text, publishes it.

#include <utility>

#include "absl/strings/str_cat.h"
#include "models/model_factory.h"
#include "models/neural/network_weights.h"
#include "trainer/commands/neural_command.h"

namespace lmserve {
namespace {

struct Options : NeuralOptions {
  WindowNetworkOptions network;
};

absl::StatusOr<NetworkTask> MakeTask(const Options& options,
                                     const Vocabulary& vocabulary) {
  WindowNetworkOptions network = options.network;
  absl::StatusOr<Cutoffs> cutoffs =
      ParseCutoffs(options.cutoffs, vocabulary,
                   NeverPredicted(vocabulary, /*bidirectional=*/false));
  if (!cutoffs.ok()) return cutoffs.status();
  network.vocabulary = vocabulary.size();
  network.never = vocabulary.begin_sentence();
  network.cutoffs = *std::move(cutoffs);
  NetworkTask task;
  task.family = std::string(kWindowFamily);
  task.properties = {
      {"window", absl::StrCat(network.window)},
      {"embedding", absl::StrCat(network.embedding)},
      {"hidden", absl::StrCat(network.hidden)},
      {"direct", network.direct ? "true" : "false"},
      {"dropout", absl::StrCat(network.dropout)},
  };
  if (!options.cutoffs.empty()) task.properties["adaptive"] = options.cutoffs;
  task.make_network = [network] { return MakeWindowNetwork<float>(network); };
  const WordId begin = vocabulary.begin_sentence();
  task.make_batches = [=, batches =
                              options.batches](absl::Span<const WordId> words) {
    return MakeWindowBatches(words, begin, network.window, batches);
  };
  return task;
}

absl::Status Train(const Options& options) {
  return TrainLanguageModel(
      options,
      [&](const Vocabulary& vocabulary) {
        return MakeTask(options, vocabulary);
      },
      TextForm::kSentences);
}

}  // namespace

void AddWindowCommand(CLI::App& app, Work* work) {
  auto options = std::make_shared<Options>();
  WindowNetworkOptions& network = options->network;
  network.embedding = 60;
  network.hidden = 100;
  options->batches.streams = 256;
  CLI::App& command = *app.add_subcommand(
      "window",
      "Train a network on windows of words (Bengio et al. 2003) and publish "
      "it as the next version.\n"
      "  lm_trainer window --window 4 --corpus text.xz --valid valid.xz "
      "--store store --model window");
  AddNeuralOptions(command, options.get());
  command.add_option("--window", network.window, "Words of context")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  command
      .add_option("--embedding", network.embedding,
                  "Numbers of a word's vector")
      ->check(CLI::Range(1, 16'384))
      ->capture_default_str();
  command.add_option("--hidden", network.hidden, "Hidden units")
      ->check(CLI::Range(1, 16'384))
      ->capture_default_str();
  command.add_flag("--direct", network.direct,
                   "Connect the words' vectors to the output, too");
  command
      .add_option("--dropout", network.dropout,
                  "Of the words' vectors and of the hidden layer")
      ->check(CLI::Range(0.0, 0.99))
      ->capture_default_str();
  command.callback([=] { *work = [=] { return Train(*options); }; });
}

}  // namespace lmserve
