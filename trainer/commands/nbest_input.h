#ifndef LMSERVE_TRAINER_COMMANDS_NBEST_INPUT_H_
#define LMSERVE_TRAINER_COMMANDS_NBEST_INPUT_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "trainer/tuning/nbest_lists.h"

namespace lmserve {

// What evaluate-nbest and tune read, as the command line names it.
struct NbestInputOptions {
  std::string nbest;
  std::vector<std::string> references;
  std::string tokenizer = "13a";
  std::vector<std::string> weights;
  int64_t first_id = 0;
};

// `weights` is the help text of --weights.
void AddNbestInputOptions(CLI::App& command, absl::string_view weights,
                          NbestInputOptions* options);

struct NbestInput {
  NbestLists lists;
  std::vector<std::vector<std::string>> references;  // by list
  std::vector<double> weights;                       // one of each feature
};

// Reads it, and tells how much it is on the standard error. Fails, naming file,
// line, id or option, as ReadNbestLists() and ReadReferences() do.
absl::StatusOr<NbestInput> ReadNbestInput(const NbestInputOptions& options);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COMMANDS_NBEST_INPUT_H_
