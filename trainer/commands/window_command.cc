// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer window: trains a network that predicts a word from a fixed number
// of words before it.

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "models/model_factory.h"
#include "models/neural/network_weights.h"
#include "trainer/commands/command.h"
#include "trainer/commands/neural_options.h"
#include "trainer/commands/train_network.h"

namespace lmserve {
namespace {

struct WindowCommandOptions : NeuralOptions {
  WindowNetworkOptions network;
};

std::map<std::string, std::string> Properties(
    const WindowCommandOptions& options) {
  const WindowNetworkOptions& network = options.network;
  std::map<std::string, std::string> properties = {
      {"window", absl::StrCat(network.window)},
      {"embedding", absl::StrCat(network.embedding)},
      {"hidden", absl::StrCat(network.hidden)},
      {"direct", network.direct ? "true" : "false"},
      {"dropout", absl::StrCat(network.dropout)},
  };
  if (!options.cutoffs.empty()) properties["adaptive"] = options.cutoffs;
  if (options.products != "float") properties["products"] = options.products;
  return properties;
}

absl::Status Train(WindowCommandOptions options) {
  absl::StatusOr<TrainingTexts> texts =
      ReadTrainingTexts(options, TextForm::kSentences);
  if (!texts.ok()) return texts.status();
  const Vocabulary& vocabulary = texts->corpus.vocabulary;
  absl::StatusOr<Cutoffs> cutoffs =
      ParseCutoffs(options.cutoffs, vocabulary,
                   NeverPredicted(vocabulary, /*bidirectional=*/false));
  if (!cutoffs.ok()) return cutoffs.status();
  const WordId begin = vocabulary.begin_sentence();
  const absl::StatusOr<ProductPrecision> products = ReadProducts(options);
  if (!products.ok()) return products.status();
  WindowNetworkOptions& network = options.network;
  network.products = *products;
  network.vocabulary = vocabulary.size();
  network.never = begin;
  network.cutoffs = *std::move(cutoffs);
  TrainingJob job =
      MakeTrainingJob(*std::move(texts), [&](absl::Span<const WordId> words) {
        return MakeWindowBatches(words, begin, network.window, options.batches);
      });
  job.version.family = std::string(kWindowFamily);
  job.version.properties = Properties(options);
  job.make_network = [network] { return MakeWindowNetwork<float>(network); };
  return TrainAndPublish(options, std::move(job));
}

}  // namespace

void AddWindowCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<WindowCommandOptions>();
  WindowNetworkOptions& network = options->network;
  network.embedding = 60;
  network.hidden = 100;
  options->batches.streams = 256;
  cli::App& command = *app.add_subcommand(
      "window",
      "Train a feed-forward network that predicts a word from the words before "
      "it (Bengio et al. 2003) and publish it as a new version.\n"
      "  lm_trainer window --window 4 --corpus text.xz --valid valid.xz "
      "--store store --model window");
  AddNeuralOptions(command, options.get());
  command.add_option("--window", network.window, "Number of context words")
      ->check(cli::Range(1, 64))
      ->capture_default_str();
  command
      .add_option("--embedding", network.embedding, "Size of a word embedding")
      ->check(cli::Range(1, 16'384))
      ->capture_default_str();
  command.add_option("--hidden", network.hidden, "Number of hidden units")
      ->check(cli::Range(1, 16'384))
      ->capture_default_str();
  command.add_flag("--direct", network.direct,
                   "Connect the word embeddings directly to the output, too");
  command
      .add_option("--dropout", network.dropout,
                  "Dropout rate of the word embeddings and of the hidden layer")
      ->check(cli::Range(0.0, 0.99))
      ->capture_default_str();
  command.callback([=] { *action = [=] { return Train(*options); }; });
}

}  // namespace lmserve
