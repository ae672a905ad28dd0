// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer prune: publishes a smaller copy of an n-gram model.

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "trainer/commands/command.h"
#include "trainer/commands/ngram_input.h"
#include "trainer/commands/ngram_output.h"
#include "trainer/ngram/entropy_pruning.h"
#include "trainer/text/corpus.h"
#include "trainer/text/status_line.h"

namespace lmserve {
namespace {

struct PruneOptions {
  std::string source;
  std::string history;  // empty: the source itself
  std::optional<double> entropy;
  std::optional<uint64_t> ngrams;
  NgramOutput output;
};

// Prunes a model, and sets *threshold to the one of --entropy or --ngrams.
absl::StatusOr<NormalizedTable> Prune(const PruneOptions& options,
                                      const NgramInput& model,
                                      const NgramInput& history,
                                      double* threshold) {
  const PruningCosts costs = FindPruningCosts(
      model.vocabulary, model.table, {history.vocabulary, history.table});
  *threshold = options.entropy.value_or(0);
  if (options.ngrams) {
    const absl::StatusOr<double> found =
        ThresholdFor(model.table, costs, *options.ngrams);
    if (!found.ok()) {
      return absl::Status(found.status().code(),
                          absl::StrCat("--ngrams: ", found.status().message()));
    }
    *threshold = *found;
  }
  return PruneNgrams(model.table, costs, *threshold);
}

absl::Status RunPrune(const PruneOptions& options) {
  absl::Status status = CheckNgramOutput(options.output);
  if (!status.ok()) return status;
  const std::string& store = options.output.target.store;
  const absl::StatusOr<NgramInput> model =
      ReadNgramInput(store, options.source);
  if (!model.ok()) return model.status();
  std::map<std::string, std::string> properties = {{"source", model->name}};
  absl::StatusOr<NgramInput> other = absl::UnknownError("");
  if (!options.history.empty()) {
    other = ReadNgramInput(store, options.history);
    if (!other.ok()) return other.status();
    properties["history"] = other->name;
  }
  double threshold;
  const absl::StatusOr<NormalizedTable> pruned =
      Prune(options, *model, other.ok() ? *other : *model, &threshold);
  if (!pruned.ok()) return pruned.status();
  WarnOfScaling(pruned->scaled);
  properties["threshold"] = absl::StrFormat("%.6g", threshold);
  PrintMessage(absl::StrCat("threshold ", properties["threshold"]));
  return WriteNgramTable(options.output, model->vocabulary, pruned->table,
                         properties, {FirstWords(model->vocabulary)})
      .status();
}

// Throws the exception by which CLI11 reports a wrong command line.
void CheckOptions(const PruneOptions& options) {
  CheckLayoutOptions(options.output.layout);
  if (options.entropy || options.ngrams) return;
  throw cli::ValidationError("--entropy", "expected a number or --ngrams");
}

}  // namespace

void AddPruneCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<PruneOptions>();
  cli::App& command = *app.add_subcommand(
      "prune",
      "Publish a smaller copy of an n-gram model, without the n-grams that "
      "change its distributions least (entropy pruning, Stolcke 1998). For a "
      "Kneser-Ney model pass --history.\n"
      "  lm_trainer prune en --ngrams 1000000 --history en-ml --store store "
      "--model en-small");
  command
      .add_option("source", options->source,
                  absl::StrCat("Model to prune, ", kNgramInputHelp))
      ->required();
  cli::Option* entropy =
      command
          .add_option("--entropy", options->entropy,
                      "Remove each n-gram without which the perplexity grows "
                      "by less than this fraction, such as 1e-8. N-grams that "
                      "longer ones need stay")
          ->check(cli::Range(0.0, 1.0));
  command
      .add_option("--ngrams", options->ngrams,
                  "Instead of --entropy: remove as few n-grams as leave at "
                  "most this many, words included")
      ->excludes(entropy);
  command.add_option(
      "--history", options->history,
      "Model, named as the source, for the frequencies of contexts: of the "
      "same "
      "text and with another smoothing than Kneser-Ney, such as "
      "maximum-likelihood. Without it the source itself is used, whose lower "
      "orders do not estimate frequencies if it is a Kneser-Ney model: pruning "
      "by them loses much more");
  AddNgramOutputOptions(command, "about 5 to 8", &options->output);
  command.callback([=] {
    CheckOptions(*options);
    *action = [=] { return RunPrune(*options); };
  });
}

}  // namespace lmserve
