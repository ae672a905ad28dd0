// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer ngram: trains an n-gram model on a text or on counts.

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "model_store/loaded_version.h"
#include "text_io/line_reader.h"
#include "trainer/commands/command.h"
#include "trainer/commands/counted_input.h"
#include "trainer/commands/ngram_output.h"
#include "trainer/evaluation/evaluate.h"
#include "trainer/ngram/compact_estimate.h"
#include "trainer/ngram/estimate.h"
#include "trainer/text/status_line.h"

namespace lmserve {
namespace {

// The layouts of ngram.bin.
constexpr absl::string_view kCompactLayout = "compact";
constexpr absl::string_view kFastLayout = "fast";

struct NgramOptions {
  NgramOutput output;
  CountedInputOptions input;
  std::string valid;
  EstimateOptions estimate;
  std::string layout = std::string(kFastLayout);
};

std::map<std::string, std::string> Properties(const NgramOptions& options,
                                              const CountedInput& input) {
  std::map<std::string, std::string> properties = {
      {"smoothing", options.estimate.smoothing.method},
      {"layout", options.layout},
      {"sentences", absl::StrCat(input.sentences)},
      {"tokens", absl::StrCat(input.tokens)},
  };
  if (!options.estimate.prune.empty()) {
    properties["prune"] = absl::StrJoin(options.estimate.prune, " ");
  }
  if (options.input.text.min_count > 1) {
    properties["min_count"] = absl::StrCat(options.input.text.min_count);
  }
  return properties;
}

// Reports the perplexity of a published version on the validation text.
absl::Status Validate(const NgramOptions& options, uint64_t version) {
  absl::StatusOr<ModelHandle> handle = LoadModel(
      options.output.target.store, options.output.target.model, version);
  if (!handle.ok()) return handle.status();
  absl::StatusOr<std::unique_ptr<LineReader>> lines =
      LineReader::Open(options.valid);
  if (!lines.ok()) return lines.status();
  Progress progress("validating");
  const absl::StatusOr<Evaluation> result =
      Evaluate(*(*handle)->model().left_to_right(), **lines,
               options.input.text.rules, progress);
  if (!result.ok()) return result.status();
  PrintMessage(absl::StrFormat(
      "validation perplexity %.4f, %.4f without the %d unknown of %d tokens",
      result->Perplexity(), result->PerplexityExcludingOov(), result->oov,
      result->tokens));
  return absl::OkStatus();
}

// Whether what is needed after the training can be opened.
absl::Status CheckFiles(const NgramOptions& options) {
  absl::Status status = CheckNgramOutput(options.output);
  if (!status.ok() || options.valid.empty() || options.valid == "-") {
    return status;
  }
  return LineReader::Open(options.valid).status();
}

// Estimates the model and builds its file. Prints notes.
absl::StatusOr<NgramFileContents> BuildFile(const NgramOptions& options,
                                            NgramCounts counts) {
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
  absl::Status status = CheckPruning(options.estimate.prune);
  if (status.ok() && options.layout == kCompactLayout) {
    status = CheckCanBeCompact(options.estimate);
  }
  if (status.ok()) status = CheckFiles(options);
  if (!status.ok()) return status;
  absl::StatusOr<CountedInput> input = ReadCountedInput(options.input);
  if (!input.ok()) return input.status();
  const absl::StatusOr<NgramFileContents> file =
      BuildFile(options, std::move(input->counts));
  if (!file.ok()) return file.status();
  const absl::StatusOr<uint64_t> version =
      WriteNgramModel(options.output, input->vocabulary, *file,
                      Properties(options, *input), input->self_test);
  if (!version.ok()) return version.status();
  return options.valid.empty() ? absl::OkStatus() : Validate(options, *version);
}

}  // namespace

void AddNgramCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<NgramOptions>();
  cli::App& command = *app.add_subcommand(
      "ngram",
      "Train an n-gram model on a text or on counts, and publish it as a new "
      "version.\n"
      "  lm_trainer ngram --corpus text.xz --order 5 --store store --model en");
  AddCountedInputOptions(command, "Text to train on", &options->input);
  command.add_option("--valid", options->valid,
                     "Report the perplexity on this text after training");
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
  command
      .add_option("--layout", options->layout,
                  "How the model is stored: compact takes about 1.25 bytes per "
                  "n-gram, fast about 19; the probabilities are the same")
      ->check(cli::IsMember(
          {std::string(kCompactLayout), std::string(kFastLayout)}))
      ->capture_default_str();
  AddNgramOutputOptions(command, &options->output);
  command.callback([=] {
    CheckCountedInput(options->input);
    *action = [=] { return Train(*options); };
  });
}

}  // namespace lmserve
