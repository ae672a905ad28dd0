// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COMMANDS_NBEST_INPUT_H_
#define LMSERVE_TRAINER_COMMANDS_NBEST_INPUT_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "command_line/cli.h"
#include "trainer/tuning/nbest_lists.h"

namespace lmserve {

// Options of the commands that read n-best lists.
struct NbestInputOptions {
  std::string nbest;
  std::vector<std::string> references;
  std::string tokenizer = "13a";
  std::vector<std::string> weights;
  std::optional<uint64_t> first_id;
};

// Adds these options and returns --weights, whose help text is `weights_help`.
cli::Option* AddNbestInputOptions(cli::App& command,
                                  absl::string_view weights_help,
                                  NbestInputOptions* options);

struct NbestInput {
  NbestLists lists;
  std::vector<std::vector<std::string>> references;  // of each list
  std::vector<double> weights;                       // of each feature
};

// Returns the weight of each feature, in the order of `feature_names`; 0 for a
// feature without one. INVALID_ARGUMENT, naming the option that gives the
// weights, if one is that of a feature that does not exist.
absl::StatusOr<std::vector<double>> WeightsOfFeatures(
    absl::string_view option, std::map<std::string, double> weights,
    const std::vector<std::string>& feature_names);

// Reads the lists, the references and the weights, and prints the number of
// lists to the standard error. Error messages name the file and line, the id or
// the option.
absl::StatusOr<NbestInput> ReadNbestInput(const NbestInputOptions& options);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COMMANDS_NBEST_INPUT_H_
