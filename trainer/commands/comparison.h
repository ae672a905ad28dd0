// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COMMANDS_COMPARISON_H_
#define LMSERVE_TRAINER_COMMANDS_COMPARISON_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/types/span.h"
#include "command_line/cli.h"
#include "reranking/metric.h"
#include "trainer/tuning/nbest_evaluation.h"

namespace lmserve {

// Options of the commands that compare systems, or choices from n-best lists,
// by paired bootstrap resampling.
struct ComparisonOptions {
  std::vector<std::string> metrics = MetricNames();
  size_t samples = 1000;
  uint64_t seed = 1;
  bool json = false;
};

// Adds --metric, --samples, --seed and --json.
void AddComparisonOptions(cli::App& command, ComparisonOptions* options);

// Adds --reference, which may be repeated.
void AddReferenceOption(cli::App& command,
                        std::vector<std::string>* references);

// Adds --tokenizer of BLEU and WER.
void AddTokenizerOption(cli::App& command, std::string* tokenizer);

// Prints the rows of one metric on the standard output: as a table or, with
// --json, as one object per row.
void PrintComparison(const ComparisonOptions& options, const Metric& metric,
                     size_t references, absl::Span<const NbestRow> rows);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COMMANDS_COMPARISON_H_
