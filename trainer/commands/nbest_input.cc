// SPDX-License-Identifier: Apache-2.0
#include "trainer/commands/nbest_input.h"

#include <map>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "reranking/named_numbers.h"
#include "text_io/line_reader.h"
#include "trainer/commands/comparison.h"
#include "trainer/text/status_line.h"

namespace lmserve {
namespace {

absl::StatusOr<std::vector<double>> ParseWeights(
    const std::vector<std::string>& texts,
    const std::vector<std::string>& feature_names) {
  constexpr absl::string_view kOption = "--weights";
  absl::StatusOr<std::map<std::string, double>> weights =
      ParseNamedNumbers(texts);
  if (!weights.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat(kOption, ": ", weights.status().message()));
  }
  return WeightsOfFeatures(kOption, *std::move(weights), feature_names);
}

}  // namespace

absl::StatusOr<std::vector<double>> WeightsOfFeatures(
    absl::string_view option, std::map<std::string, double> weights,
    const std::vector<std::string>& feature_names) {
  std::vector<double> aligned;
  for (const std::string& name : feature_names) {
    const auto found = weights.extract(name);
    aligned.push_back(found ? found.mapped() : 0);
  }
  if (weights.empty()) return aligned;
  return absl::InvalidArgumentError(
      absl::StrCat(option, ": expected one of the features of the lists, ",
                   feature_names.empty() ? "which have none"
                                         : absl::StrJoin(feature_names, " "),
                   ", found '", weights.begin()->first, "'"));
}

absl::StatusOr<NbestInput> ReadNbestInput(const NbestInputOptions& options) {
  auto reader = LineReader::Open(options.nbest);
  if (!reader.ok()) return reader.status();
  absl::StatusOr<NbestLists> lists = ReadNbestLists(**reader);
  if (!lists.ok()) return lists.status();
  auto references =
      ReadReferences(*lists, options.references, options.first_id);
  if (!references.ok()) return references.status();
  auto weights = ParseWeights(options.weights, lists->feature_names);
  if (!weights.ok()) return weights.status();
  PrintMessage(absl::StrCat(lists->lists.size(), " lists, ",
                            lists->candidates(), " candidates"));
  return NbestInput{*std::move(lists), *std::move(references),
                    *std::move(weights)};
}

cli::Option* AddNbestInputOptions(cli::App& command,
                                  absl::string_view weights_help,
                                  NbestInputOptions* options) {
  command
      .add_option("--nbest", options->nbest,
                  "N-best lists in the format of Moses or Marian, plain or "
                  "compressed (.gz, .xz, .bz2, .zst), or - for the standard "
                  "input")
      ->required();
  AddReferenceOption(command, &options->references);
  AddTokenizerOption(command, &options->tokenizer);
  command.add_option(
      "--first-id", options->first_id,
      "Id of the list that the first line of the references "
      "belongs to; required if the first list has another number "
      "than 0");
  return command.add_option("--weights", options->weights,
                            std::string(weights_help));
}

}  // namespace lmserve
