// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer classifier: trains a network that labels sentences.

#include <utility>

#include "models/model_factory.h"
#include "models/neural/pooling.h"
#include "trainer/commands/command.h"
#include "trainer/commands/labeling_options.h"

namespace lmserve {
namespace {

struct ClassifierCommandOptions : LabelingOptions {
  std::string pooling = "max";
};

absl::Status Train(ClassifierCommandOptions options) {
  absl::StatusOr<LabeledTexts> texts = ReadLabeledTexts(
      options, [](LineReader& lines) { return ReadClassifiedText(lines); });
  if (!texts.ok()) return texts.status();
  absl::Status status = CompleteStack(&options);
  if (!status.ok()) return status;
  ClassifierNetworkOptions network;
  network.vocabulary = texts->index.vocabulary.size();
  network.labels = texts->index.labels.size();
  network.embedding = options.embedding;
  network.stack = options.stack;
  network.initial_range = options.initial_range;
  network.pooling = *ParsePooling(options.pooling);
  TrainingJob job = MakeLabelingJob(options, *std::move(texts));
  job.version.family = std::string(kClassifierFamily);
  job.version.properties["pooling"] = options.pooling;
  job.make_network = [network] {
    return MakeClassifierNetwork<float>(network);
  };
  return TrainAndPublish(options, std::move(job));
}

}  // namespace

void AddClassifierCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<ClassifierCommandOptions>();
  options->stack.units = 150;
  options->stack.dropout = 0.5;
  options->batches.streams = 32;
  options->training.epochs = 10;
  cli::App& command = *app.add_subcommand(
      "classifier",
      "Train a network that labels sentences, such as with their sentiment, "
      "and publish it as a new version.\n"
      "  lm_trainer classifier --corpus train.tsv --valid dev.tsv --store "
      "store --model sentiment");
  AddLabelingOptions(
      command,
      "one sentence a line: its label, a tab or a space, and its words",
      options.get());
  command
      .add_option("--pooling", options->pooling,
                  "How the states of a sentence become its vector: max, mean "
                  "or last")
      ->check(cli::IsMember({"max", "mean", "last"}))
      ->capture_default_str();
  command.callback([=] { *action = [=] { return Train(*options); }; });
}

}  // namespace lmserve
