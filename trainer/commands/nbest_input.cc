#include "trainer/commands/nbest_input.h"

#include <iostream>
#include <map>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "models/text.h"
#include "trainer/text/line_reader.h"

namespace lmserve {
namespace {

// Takes NAME=NUMBER apart.
absl::Status AddWeight(absl::string_view text,
                       std::map<std::string, double>* weights) {
  const size_t equals = text.rfind('=');
  double value;
  if (equals == absl::string_view::npos || equals == 0 ||
      !absl::SimpleAtod(text.substr(equals + 1), &value)) {
    return absl::InvalidArgumentError(
        absl::StrCat("--weights: expected NAME=NUMBER, found '", text, "'"));
  }
  (*weights)[std::string(text.substr(0, equals))] = value;
  return absl::OkStatus();
}

// One of each feature; of those that are not named 0.
absl::StatusOr<std::vector<double>> ParseWeights(
    const std::vector<std::string>& texts,
    const std::vector<std::string>& feature_names) {
  std::map<std::string, double> weights;
  for (const std::string& text : texts) {
    for (absl::string_view weight : SplitWords(text)) {
      absl::Status status = AddWeight(weight, &weights);
      if (!status.ok()) return status;
    }
  }
  std::vector<double> parsed;
  for (const std::string& name : feature_names) {
    const auto found = weights.extract(name);
    parsed.push_back(found ? found.mapped() : 0);
  }
  if (weights.empty()) return parsed;
  return absl::InvalidArgumentError(
      absl::StrCat("--weights: no feature '", weights.begin()->first,
                   "'; there are: ", absl::StrJoin(feature_names, " ")));
}

}  // namespace

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
  std::cerr << lists->lists.size() << " lists, " << lists->candidates()
            << " candidates\n";
  return NbestInput{*std::move(lists), *std::move(references),
                    *std::move(weights)};
}

void AddNbestInputOptions(CLI::App& command, absl::string_view weights,
                          NbestInputOptions* options) {
  command
      .add_option(
          "--nbest", options->nbest,
          "The list, as Moses or Marian write it: plain, .gz, .xz, or - "
          "for the standard input")
      ->required();
  command
      .add_option("--reference", options->references,
                  "A reference a line; several files for several references")
      ->required();
  command
      .add_option("--tokenizer", options->tokenizer,
                  "Of BLEU and WER: 13a, or none where the texts are tokenised")
      ->check(CLI::IsMember({"13a", "none"}))
      ->capture_default_str();
  command.add_option("--weights", options->weights, std::string(weights));
  command
      .add_option("--first-id", options->first_id,
                  "The id of the first line of the references")
      ->capture_default_str();
}

}  // namespace lmserve
