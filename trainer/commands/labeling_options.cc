// SPDX-License-Identifier: Apache-2.0
#include "trainer/commands/labeling_options.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "model_store/publish.h"
#include "models/labels.h"
#include "models/model_files.h"
#include "models/neural/network_weights.h"

namespace lmserve {
namespace {

constexpr size_t kSelfTestSentences = 3;
constexpr size_t kSelfTestWords = 100;

uint64_t LabeledFingerprint(const std::vector<LabeledIds>& sentences) {
  std::vector<WordId> all;
  for (const LabeledIds& sentence : sentences) {
    all.insert(all.end(), sentence.words.begin(), sentence.words.end());
    all.insert(all.end(), sentence.spellings.begin(), sentence.spellings.end());
    all.insert(all.end(), sentence.labels.begin(), sentence.labels.end());
    all.insert(all.end(), sentence.auxiliary.begin(), sentence.auxiliary.end());
  }
  return Fingerprint(all);
}

// Returns the probability that a word is replaced by <unk> in training, by its
// id: d / (d + n) for a word that occurs n times (Kiperwasser and Goldberg
// 2016).
std::vector<float> WordDropout(const LabelIndex& index, double d) {
  std::vector<float> probabilities;
  for (uint64_t count : index.word_counts) {
    probabilities.push_back(
        count == 0 ? 0
                   : static_cast<float>(d / (d + static_cast<double>(count))));
  }
  return probabilities;
}

}  // namespace

void AddLabelingOptions(cli::App& command, absl::string_view form,
                        LabelingOptions* options) {
  command
      .add_option("--corpus", options->corpus,
                  absl::StrCat("Text to train on: ", form,
                               ". Plain or compressed (.gz, .xz, .bz2, .zst), "
                               "or - for the standard input"))
      ->required();
  AddValidOption(command, options);
  AddVocabularyOptions(command, &options->text);
  AddTrainingOptions(command, options);
  AddCellOptions(command, &options->cell, &options->nonlinearity);
  command
      .add_option("--layers", options->stack.layers,
                  "Number of recurrent layers")
      ->check(cli::Range(1, 8))
      ->capture_default_str();
  command
      .add_option("--units", options->stack.units,
                  "Units per layer and direction")
      ->check(cli::Range(1, 16'384))
      ->capture_default_str();
  command
      .add_option("--embedding", options->embedding, "Size of a word embedding")
      ->check(cli::Range(1, 16'384))
      ->capture_default_str();
  command
      .add_option("--initial-range", options->initial_range,
                  "Word embeddings are initially uniform in [-range, range]")
      ->check(cli::PositiveNumber())
      ->capture_default_str();
  command.add_flag("--forward-only", options->forward_only,
                   "Read sentences from left to right only");
  command
      .add_option("--dropout", options->stack.dropout,
                  "Dropout rate of the inputs and of every layer's output")
      ->check(cli::Range(0.0, 0.99))
      ->capture_default_str();
  command
      .add_option("--word-dropout", options->word_dropout,
                  "Replace a word that occurs n times by <unk> with "
                  "probability d / (d + n), so that the network learns to "
                  "label unknown words; this is d")
      ->check(cli::NonNegativeNumber())
      ->capture_default_str();
}

absl::Status CompleteStack(LabelingOptions* options) {
  const absl::StatusOr<ProductPrecision> products = ReadProducts(*options);
  if (!products.ok()) return products.status();
  options->stack.products = *products;
  options->stack.cell = *ParseCell(options->cell);
  options->stack.activation = *ParseActivation(options->nonlinearity);
  options->stack.bidirectional = !options->forward_only;
  return absl::OkStatus();
}

std::map<std::string, std::string> LabelingProperties(
    const LabelingOptions& options) {
  std::map<std::string, std::string> properties = {
      {"cell", options.cell},
      {"layers", absl::StrCat(options.stack.layers)},
      {"units", absl::StrCat(options.stack.units)},
      {"embedding", absl::StrCat(options.embedding)},
      {"dropout", absl::StrCat(options.stack.dropout)},
      {"word_dropout", absl::StrCat(options.word_dropout)},
      {"initial_range", absl::StrCat(options.initial_range)},
      {"directions", options.forward_only ? "1" : "2"},
  };
  if (options.stack.cell == Cell::kRnn) {
    properties["nonlinearity"] = options.nonlinearity;
  }
  if (options.products != "float") properties["products"] = options.products;
  return properties;
}

absl::StatusOr<std::vector<LabeledSentence>> ReadLabeledFile(
    const std::string& file, LabeledReader read) {
  const absl::StatusOr<std::unique_ptr<LineReader>> lines =
      LineReader::Open(file);
  if (!lines.ok()) return lines.status();
  return read(**lines);
}

absl::StatusOr<LabeledTexts> ReadLabeledTexts(const LabelingOptions& options,
                                              LabeledReader read) {
  absl::Status status =
      CheckCanPublish(options.target.store, options.target.model);
  if (!status.ok()) return status;
  const absl::StatusOr<std::vector<LabeledSentence>> training =
      ReadLabeledFile(options.corpus, read);
  if (!training.ok()) return training.status();
  const absl::StatusOr<std::vector<LabeledSentence>> valid =
      ReadLabeledFile(options.valid, read);
  if (!valid.ok()) return valid.status();
  absl::StatusOr<LabelIndex> index = IndexLabeledText(
      *training, options.text.vocabulary_file, options.text.min_count);
  if (!index.ok()) return index.status();
  LabeledTexts texts = {*std::move(index), {}, {}, {}, {}};
  texts.training =
      ToIds(*training, texts.index, options.corpus, &texts.spellings);
  texts.valid = ToIds(*valid, texts.index, options.valid, &texts.spellings);
  // The validation loss is that of the labels.
  for (LabeledIds& sentence : texts.valid) sentence.auxiliary.clear();
  if (texts.valid.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        options.valid, ": expected a sentence whose labels the training text ",
        "has, found none"));
  }
  for (const LabeledSentence& sentence : *training) {
    const size_t words = std::min(sentence.words.size(), kSelfTestWords);
    texts.self_test.push_back(absl::StrJoin(
        sentence.words.begin(),
        sentence.words.begin() + static_cast<std::ptrdiff_t>(words), " "));
    if (texts.self_test.size() == kSelfTestSentences) break;
  }
  return texts;
}

TrainingJob MakeLabelingJob(const LabelingOptions& options,
                            LabeledTexts texts) {
  NetworkVersion version;
  version.properties = LabelingProperties(options);
  version.self_test = std::move(texts.self_test);
  version.files = {
      {std::string(kLabelsFile), FormatLabels(texts.index.labels)}};
  TrainingJob job = {
      .version = std::move(version),
      .vocabulary = std::move(texts.index.vocabulary),
      .make_network = {},
      .training = {},
      .validation = {},
      .fingerprint = absl::StrCat("text=", LabeledFingerprint(texts.training),
                                  " valid=", LabeledFingerprint(texts.valid)),
      .sentences = texts.training.size()};
  for (const LabeledIds& sentence : texts.training) {
    job.tokens += sentence.words.size();
  }
  LabeledBatchOptions batches = {options.batches, job.vocabulary.unknown()};
  job.validation = MakeLabeledBatches(std::move(texts.valid), batches);
  if (options.word_dropout > 0) {
    batches.word_dropout = WordDropout(texts.index, options.word_dropout);
  }
  job.training = MakeLabeledBatches(std::move(texts.training), batches);
  return job;
}

}  // namespace lmserve
