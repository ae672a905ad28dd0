// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer ngram: trains an n-gram model on a text.

#include <algorithm>
#include <fstream>
#include <iostream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "model_store/loaded_version.h"
#include "model_store/processors.h"
#include "model_store/publish.h"
#include "models/ngram/ngram_model.h"
#include "text_io/line_reader.h"
#include "text_io/output_file.h"
#include "trainer/commands/command.h"
#include "trainer/commands/common_options.h"
#include "trainer/evaluation/evaluate.h"
#include "trainer/ngram/arpa_file.h"
#include "trainer/ngram/compact_estimate.h"
#include "trainer/ngram/estimate.h"
#include "trainer/ngram/ngram_counts.h"
#include "trainer/ngram/publish_ngram.h"
#include "trainer/text/corpus.h"
#include "trainer/text/status_line.h"

namespace lmserve {
namespace {

// The layouts of ngram.bin.
constexpr absl::string_view kCompactLayout = "compact";
constexpr absl::string_view kFastLayout = "fast";

struct NgramOptions {
  ModelOptions target;
  std::string corpus;
  std::string valid;
  std::string arpa;
  int order = 5;
  int threads = AvailableProcessors();
  CorpusOptions text;
  EstimateOptions estimate;
  std::string layout = std::string(kFastLayout);
};

absl::StatusOr<Corpus> ReadTrainingText(const NgramOptions& options) {
  absl::StatusOr<Corpus> corpus = ReadCorpusFile(options.corpus, options.text);
  if (!corpus.ok()) return corpus;
  PrintMessage(absl::StrFormat(
      "%d sentences, %d tokens (%d unknown), %d words in the vocabulary%s",
      corpus->sentences, corpus->tokens(), corpus->unknown,
      corpus->vocabulary.size(),
      corpus->blank_lines == 0
          ? ""
          : absl::StrCat(", ", corpus->blank_lines, " blank lines ignored")));
  return corpus;
}

std::map<std::string, std::string> Properties(const NgramOptions& options,
                                              const Corpus& corpus) {
  std::map<std::string, std::string> properties = {
      {"smoothing", options.estimate.smoothing.method},
      {"layout", options.layout},
      {"sentences", absl::StrCat(corpus.sentences)},
      {"tokens", absl::StrCat(corpus.tokens())},
  };
  if (!options.estimate.prune.empty()) {
    properties["prune"] = absl::StrJoin(options.estimate.prune, " ");
  }
  if (options.text.min_count > 1) {
    properties["min_count"] = absl::StrCat(options.text.min_count);
  }
  return properties;
}

// Reports the perplexity of a published version on the validation text.
absl::Status Validate(const NgramOptions& options, uint64_t version) {
  absl::StatusOr<ModelHandle> handle =
      LoadModel(options.target.store, options.target.model, version);
  if (!handle.ok()) return handle.status();
  absl::StatusOr<std::unique_ptr<LineReader>> lines =
      LineReader::Open(options.valid);
  if (!lines.ok()) return lines.status();
  Progress progress("validating");
  const absl::StatusOr<Evaluation> result =
      Evaluate(*(*handle)->model().left_to_right(), **lines, options.text.rules,
               progress);
  if (!result.ok()) return result.status();
  PrintMessage(absl::StrFormat(
      "validation perplexity %.4f, %.4f without the %d unknown of %d tokens",
      result->Perplexity(), result->PerplexityExcludingOov(), result->oov,
      result->tokens));
  return absl::OkStatus();
}

// Whether the files that are needed after the training can be opened.
absl::Status CheckFiles(const NgramOptions& options) {
  if (!options.arpa.empty() && options.arpa != "-") {
    const auto arpa = OutputFile::Open(options.arpa);
    if (!arpa.ok()) return arpa.status();
  }
  if (!options.valid.empty() && options.valid != "-") {
    const auto valid = LineReader::Open(options.valid);
    if (!valid.ok()) return valid.status();
  }
  return absl::OkStatus();
}

// Counts the n-grams, estimates the model and builds its file. Prints notes.
absl::StatusOr<NgramFileContents> BuildFile(const NgramOptions& options,
                                            const Corpus& corpus) {
  NgramCounts counts = CountNgrams(corpus, options.order, options.threads);
  if (options.layout == kCompactLayout) {
    absl::StatusOr<CompactEstimate> estimate =
        EstimateCompact(counts, options.estimate);
    if (!estimate.ok()) return estimate.status();
    for (const std::string& note : estimate->notes) PrintMessage(note);
    return std::move(estimate->file);
  }
  const absl::StatusOr<Estimate> estimate =
      EstimateModel(counts, options.estimate);
  if (!estimate.ok()) return estimate.status();
  for (const std::string& note : estimate->notes) PrintMessage(note);
  counts = {};
  return BuildFastFile(estimate->table);
}

absl::Status Train(const NgramOptions& options) {
  absl::Status status =
      CheckCanPublish(options.target.store, options.target.model);
  if (status.ok()) status = CheckPruning(options.estimate.prune);
  if (status.ok() && options.layout == kCompactLayout) {
    status = CheckCanBeCompact(options.estimate);
  }
  if (status.ok()) status = CheckFiles(options);
  if (!status.ok()) return status;
  absl::StatusOr<Corpus> corpus = ReadTrainingText(options);
  if (!corpus.ok()) return corpus.status();
  const absl::StatusOr<NgramFileContents> file = BuildFile(options, *corpus);
  if (!file.ok()) return file.status();
  const std::vector<std::string> self_test =
      FirstSentences(corpus->vocabulary, corpus->words);
  const std::map<std::string, std::string> properties =
      Properties(options, *corpus);
  corpus->words = {};
  const absl::StatusOr<uint64_t> version =
      PublishNgram(options.target.store, options.target.model,
                   corpus->vocabulary, *file, properties, self_test);
  if (!version.ok()) return version.status();
  PrintMessage(absl::StrCat(absl::StrJoin(file->ngrams, " / "),
                            " n-grams of order 1 to ", options.order, ", ",
                            file->bytes.size(), " bytes"));
  // With --arpa - the result is the ARPA file.
  const auto print = options.arpa == "-" ? ReportPublished : PrintPublished;
  print(options.target.model, *version);
  if (!options.arpa.empty()) {
    status = WriteArpaFile(options.target.store, options.target.model, *version,
                           options.arpa);
    if (!status.ok()) return status;
  }
  return options.valid.empty() ? absl::OkStatus() : Validate(options, *version);
}

}  // namespace

void AddNgramCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<NgramOptions>();
  cli::App& command = *app.add_subcommand(
      "ngram",
      "Train an n-gram model on a text and publish it as a new version.\n"
      "  lm_trainer ngram --corpus text.xz --order 5 --store store --model en");
  AddCorpusOptions(command, "Text to train on", &options->corpus,
                   &options->text.rules);
  command.add_option("--valid", options->valid,
                     "Report the perplexity on this text after training");
  command
      .add_option("--order", options->order,
                  "Maximum number of words in an n-gram")
      ->check(cli::Range(1, kMaxNgramOrder))
      ->capture_default_str();
  SmoothingOptions& smoothing = options->estimate.smoothing;
  const auto methods = SmoothingMethods();
  command.add_option("--smoothing", smoothing.method, "Smoothing method")
      ->check(cli::IsMember(
          std::vector<std::string>(methods.begin(), methods.end())))
      ->capture_default_str();
  command
      .add_option("--delta", smoothing.delta,
                  "With --smoothing additive: added to every count")
      ->capture_default_str();
  command
      .add_option("--alpha", smoothing.alpha,
                  "With --smoothing stupid-back-off: factor of each back-off")
      ->capture_default_str();
  command.add_option(
      "--prune", options->estimate.prune,
      "Omit n-grams that occur at most this often: one threshold "
      "per order, as in 0 0 1; the last one also applies to all "
      "higher orders");
  AddVocabularyOptions(command, &options->text);
  command
      .add_option("--layout", options->layout,
                  "How the model is stored: compact takes about 1.2 bytes per "
                  "n-gram, fast about 19; the probabilities are the same")
      ->check(cli::IsMember(
          {std::string(kCompactLayout), std::string(kFastLayout)}))
      ->capture_default_str();
  command
      .add_option("--threads", options->threads,
                  "Number of threads that count n-grams")
      ->check(cli::Range(1, 256))
      ->capture_default_str();
  command.add_option("--arpa", options->arpa,
                     "Also write the model to this ARPA file, compressed if "
                     "its name ends in .gz, .xz, .bz2 or .zst, or - for the "
                     "standard output");
  AddTargetOptions(command, &options->target);
  command.callback([=] { *action = [=] { return Train(*options); }; });
}

}  // namespace lmserve
