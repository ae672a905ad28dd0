// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer tagger: trains a network that labels the words of sentences.

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "models/labels.h"
#include "models/model_factory.h"
#include "models/neural/character_reader.h"
#include "trainer/commands/column_options.h"
#include "trainer/commands/command.h"
#include "trainer/commands/labeling_options.h"
#include "trainer/text/status_line.h"

namespace lmserve {
namespace {

struct TaggerCommandOptions : LabelingOptions {
  ColumnOptions columns;
  uint64_t auxiliary_column = 0;
  std::string constraints = "auto";
  TaggerNetworkOptions network;
};

// Returns what the BIO constraints forbid in a text, or "" if they forbid
// nothing.
std::string FindForbidden(const LabeledTexts& texts) {
  for (const std::string& label : texts.index.labels) {
    if (!IsBioLabel(label)) return absl::StrCat("the label ", label);
  }
  for (const LabeledIds& sentence : texts.training) {
    for (size_t t = 0; t < sentence.labels.size(); ++t) {
      const std::string& label = texts.index.labels[sentence.labels[t]];
      if (t == 0) {
        if (MayFollow(std::nullopt, label)) continue;
        return absl::StrCat("a sentence that begins with ", label);
      }
      const std::string& before = texts.index.labels[sentence.labels[t - 1]];
      if (MayFollow(before, label)) continue;
      return absl::StrCat(label, " after ", before);
    }
  }
  return "";
}

// Sets whether the tagger permits only sequences of BIO labels.
absl::Status SetConstraints(const LabeledTexts& texts,
                            TaggerCommandOptions* options) {
  if (options->constraints == "none") return absl::OkStatus();
  const std::string forbidden = FindForbidden(texts);
  options->network.bio = forbidden.empty();
  if (options->constraints == "auto" || forbidden.empty()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("--constraints bio: expected BIO labels in ",
                   options->corpus, ", found ", forbidden));
}

void AddProperties(const TaggerCommandOptions& options,
                   std::map<std::string, std::string>* properties) {
  const TaggerNetworkOptions& network = options.network;
  (*properties)["output"] = network.crf ? "crf" : "softmax";
  (*properties)["constraints"] = network.bio ? "bio" : "none";
  if (network.auxiliary_labels > 0) {
    (*properties)["auxiliary_column"] = absl::StrCat(options.auxiliary_column);
    (*properties)["auxiliary_weight"] = absl::StrCat(network.auxiliary_weight);
  }
  if (network.character_units == 0) return;
  (*properties)["character_units"] = absl::StrCat(network.character_units);
  (*properties)["character_embedding"] =
      absl::StrCat(network.character_embedding);
  (*properties)["character_layers"] = absl::StrCat(network.character_layers);
}

std::shared_ptr<const std::vector<std::vector<WordId>>> Spell(
    const std::vector<std::string>& words) {
  auto spellings = std::make_shared<std::vector<std::vector<WordId>>>();
  for (const std::string& word : words) {
    spellings->push_back(CharactersOf(word));
  }
  return spellings;
}

absl::Status Train(TaggerCommandOptions options) {
  absl::StatusOr<LabeledTexts> texts =
      ReadLabeledTexts(options, [&](LineReader& lines) {
        ColumnFormat format = options.columns.Format();
        format.auxiliary_column = options.auxiliary_column;
        return ReadTaggedText(lines, format);
      });
  if (!texts.ok()) return texts.status();
  absl::Status status = SetConstraints(*texts, &options);
  if (!status.ok()) return status;
  status = CompleteStack(&options);
  if (!status.ok()) return status;
  TaggerNetworkOptions& network = options.network;
  network.vocabulary = texts->index.vocabulary.size();
  network.labels = texts->index.labels.size();
  network.auxiliary_labels = texts->index.auxiliary.size();
  network.embedding = options.embedding;
  network.stack = options.stack;
  network.initial_range = options.initial_range;
  network.spellings = Spell(texts->spellings);
  TrainingJob job = MakeLabelingJob(options, *std::move(texts));
  job.version.family = std::string(kTaggerFamily);
  AddProperties(options, &job.version.properties);
  job.make_network = [network] { return MakeTaggerNetwork<float>(network); };
  return TrainAndPublish(options, std::move(job));
}

}  // namespace

void AddTaggerCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<TaggerCommandOptions>();
  TaggerNetworkOptions& network = options->network;
  network.character_embedding = 50;
  network.character_units = 50;
  options->stack.units = 150;
  options->stack.layers = 2;
  options->stack.dropout = 0.4;
  options->batches.streams = 16;
  options->training.epochs = 20;
  cli::App& command = *app.add_subcommand(
      "tagger",
      "Train a network that labels each word of a sentence, such as with its "
      "part of speech, and publish it as a new version.\n"
      "  lm_trainer tagger --corpus train.conllu --valid dev.conllu --store "
      "store --model upos");
  AddLabelingOptions(command, "one word a line with its label (--format)",
                     options.get());
  AddColumnOptions(command, &options->columns);
  command
      .add_option("--character-units", network.character_units,
                  "Units per layer and direction of the layers that read the "
                  "characters of each word; 0: none do")
      ->check(cli::Range(0, 16'384))
      ->capture_default_str();
  command
      .add_option("--character-embedding", network.character_embedding,
                  "Size of the embedding of a character")
      ->check(cli::Range(1, 16'384))
      ->capture_default_str();
  command
      .add_option("--character-layers", network.character_layers,
                  "Number of layers that read characters")
      ->check(cli::Range(1, 8))
      ->capture_default_str();
  command.add_flag("--crf", network.crf,
                   "Let each label depend on the label before (a conditional "
                   "random field over the network)");
  command
      .add_option("--auxiliary-column", options->auxiliary_column,
                  "Column of other labels, from 1, that the network learns to "
                  "predict, too, such as parts of speech when it learns "
                  "chunks. They are read in training only: the published "
                  "model reads words and predicts the labels")
      ->check(cli::Range(uint64_t{1}, kMostColumns));
  command
      .add_option("--auxiliary-weight", network.auxiliary_weight,
                  "Factor of the loss of the auxiliary labels")
      ->check(cli::PositiveNumber())
      ->capture_default_str();
  command
      .add_option("--constraints", options->constraints,
                  "Permit only sequences of BIO labels, such as B-NP I-NP O: "
                  "auto (if the training text has no others), bio or none")
      ->check(cli::IsMember({"auto", "bio", "none"}))
      ->capture_default_str();
  command.callback([=] { *action = [=] { return Train(*options); }; });
}

}  // namespace lmserve
