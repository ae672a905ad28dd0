// SPDX-License-Identifier: Apache-2.0
#include "trainer/commands/comparison.h"

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "absl/strings/str_format.h"
#include "models/printable_text.h"
#include "trainer/text/finite_or_null.h"

namespace lmserve {
namespace {

void PrintTable(const Metric& metric, int references,
                absl::Span<const NbestRow> rows) {
  size_t width = 9;
  for (const NbestRow& row : rows) {
    width = std::max(width, Printable(row.name).size());
  }
  const int columns = static_cast<int>(width);
  std::cout << absl::StreamFormat("%-*s %8s %8s %8s %8s  (%s)\n", columns,
                                  metric.name(), "score", "mean", "+/-", "p",
                                  metric.signature(references));
  for (const NbestRow& row : rows) {
    std::cout << absl::StreamFormat("%-*s %8.2f %8.2f %8.2f", columns,
                                    Printable(row.name), row.score, row.mean,
                                    row.interval);
    if (&row != &rows.front()) {
      std::cout << absl::StreamFormat(" %8.4f", row.p_value);
    }
    std::cout << "\n";
  }
}

void PrintJson(const Metric& metric, int references,
               absl::Span<const NbestRow> rows) {
  using Json = nlohmann::ordered_json;
  for (const NbestRow& row : rows) {
    const Json json = {{"metric", metric.name()},
                       {"signature", metric.signature(references)},
                       {"system", row.name},
                       {"score", FiniteOrNull(row.score)},
                       {"mean", FiniteOrNull(row.mean)},
                       {"interval", FiniteOrNull(row.interval)},
                       {"p_value", row.p_value}};
    std::cout << json.dump(-1, ' ', /*ensure_ascii=*/false,
                           Json::error_handler_t::replace)
              << "\n";
  }
}

}  // namespace

void AddComparisonOptions(cli::App& command, ComparisonOptions* options) {
  command
      .add_option("--metric", options->metrics,
                  "One or more of bleu, chrf and wer")
      ->check(cli::IsMember(MetricNames()))
      ->capture_default_str();
  command
      .add_option("--samples", options->samples, "Number of bootstrap samples")
      ->check(cli::Range(40, 1'000'000))
      ->capture_default_str();
  command.add_option("--seed", options->seed, "Random seed")
      ->capture_default_str();
  command.add_flag("--json", options->json, "Print each row as a JSON object");
}

void AddReferenceOption(cli::App& command,
                        std::vector<std::string>* references) {
  command
      .add_option("--reference", *references,
                  "References, one per line; several files for several "
                  "references of each sentence")
      ->required();
}

void AddTokenizerOption(cli::App& command, std::string* tokenizer) {
  command
      .add_option("--tokenizer", *tokenizer,
                  "Tokenizer of BLEU and WER: 13a, or none if the texts are "
                  "tokenized already")
      ->check(cli::IsMember({"13a", "none"}))
      ->capture_default_str();
}

void PrintComparison(const ComparisonOptions& options, const Metric& metric,
                     size_t references, absl::Span<const NbestRow> rows) {
  const int count = static_cast<int>(references);
  options.json ? PrintJson(metric, count, rows)
               : PrintTable(metric, count, rows);
}

}  // namespace lmserve
