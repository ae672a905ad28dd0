// SPDX-License-Identifier: Apache-2.0
//
// lm_trainer evaluate-translations: scores the output of systems by references.

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "reranking/metric.h"
#include "trainer/commands/command.h"
#include "trainer/commands/comparison.h"
#include "trainer/text/aligned_lines.h"
#include "trainer/text/status_line.h"
#include "trainer/tuning/nbest_evaluation.h"
#include "trainer/tuning/nbest_lists.h"

namespace lmserve {
namespace {

struct EvaluateTranslationsOptions {
  std::vector<std::string> references;
  std::vector<std::string> hypotheses;
  std::string tokenizer = "13a";
  ComparisonOptions comparison;
};

// The hypotheses of a sentence are its list, one candidate per system, so that
// a system is a choice from the lists.
struct Systems {
  NbestLists lists;
  std::vector<std::vector<std::string>> references;          // of each list
  std::vector<std::pair<std::string, NbestChoice>> choices;  // by file name
};

absl::StatusOr<Systems> ReadSystems(
    const EvaluateTranslationsOptions& options) {
  const size_t references = options.references.size();
  std::vector<std::string> files = options.references;
  files.insert(files.end(), options.hypotheses.begin(),
               options.hypotheses.end());
  absl::StatusOr<std::vector<std::vector<std::string>>> lines =
      ReadAlignedLines(files);
  if (!lines.ok()) return lines.status();
  if (lines->empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(files[0], ": expected a reference, found none"));
  }
  Systems systems;
  for (std::vector<std::string>& line : *lines) {
    NbestList list = {absl::StrCat(systems.lists.lists.size()), 0, {}};
    for (size_t i = references; i < files.size(); ++i) {
      list.candidates.push_back({std::move(line[i]), {}, {}});
    }
    systems.lists.lists.push_back(std::move(list));
    line.resize(references);
  }
  systems.references = *std::move(lines);
  for (size_t i = 0; i < options.hypotheses.size(); ++i) {
    systems.choices.emplace_back(options.hypotheses[i],
                                 NbestChoice(systems.references.size(), i));
  }
  return systems;
}

absl::Status RunEvaluateTranslations(
    const EvaluateTranslationsOptions& options) {
  const absl::StatusOr<Systems> systems = ReadSystems(options);
  if (!systems.ok()) return systems.status();
  PrintMessage(absl::StrCat(systems->references.size(), " sentences"));
  const ComparisonOptions& comparison = options.comparison;
  for (const std::string& name : comparison.metrics) {
    const auto metric = MakeMetric(name, options.tokenizer);
    if (!metric.ok()) return metric.status();
    const NbestCounts counts(systems->lists, systems->references, **metric);
    PrintComparison(comparison, **metric, options.references.size(),
                    CompareChoices(counts, systems->choices, comparison.samples,
                                   comparison.seed));
  }
  return absl::OkStatus();
}

}  // namespace

void AddEvaluateTranslationsCommand(cli::App& app, CommandAction* action) {
  auto options = std::make_shared<EvaluateTranslationsOptions>();
  cli::App& command = *app.add_subcommand(
      "evaluate-translations",
      "Score translations, or other texts with references, in BLEU, chrF and "
      "the word error rate. Bootstrap resampling gives 95 % intervals (+/-) "
      "around the mean of the samples and, for several systems, the p-value of "
      "the difference to the first one (Koehn 2004).\n"
      "  lm_trainer evaluate-translations --reference test.en --hypotheses "
      "baseline.en --hypotheses new.en");
  AddReferenceOption(command, &options->references);
  command
      .add_option("--hypotheses", options->hypotheses,
                  "Translations of a system, one per line, in the order of the "
                  "references, plain or compressed, or - for the standard "
                  "input; may be repeated for other systems")
      ->required();
  AddTokenizerOption(command, &options->tokenizer);
  AddComparisonOptions(command, &options->comparison);
  command.callback(
      [=] { *action = [=] { return RunEvaluateTranslations(*options); }; });
}

}  // namespace lmserve
