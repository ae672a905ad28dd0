// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COMMANDS_NGRAM_MODEL_H_
#define LMSERVE_TRAINER_COMMANDS_NGRAM_MODEL_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "command_line/cli.h"
#include "models/vocabulary.h"
#include "trainer/commands/counting_options.h"
#include "trainer/commands/ngram_output.h"
#include "trainer/ngram/estimate.h"
#include "trainer/ngram/ngram_counts.h"

namespace lmserve {

// The way from n-gram counts to a published model, of the commands ngram and
// ngram-assemble.

struct NgramModelOptions {
  NgramOutput output;
  std::string valid;
  EstimateOptions estimate;
};

// Whether the model is stored as the counts of its n-grams.
bool StoresCounts(const NgramModelOptions& options);

// --valid, --smoothing and its parameters, --prune, --layout, --arpa, --store,
// --model.
void AddNgramModelOptions(cli::App& command, NgramModelOptions* options);

// Whether the options are valid, and the files that are needed after the
// training can be opened.
absl::Status CheckNgramModelOptions(const NgramModelOptions& options);

// What is known of a training text.
struct TrainingText {
  uint64_t sentences = 0;
  uint64_t tokens = 0;
  uint64_t min_count = 1;
  std::vector<std::string> self_test;
  TextRules rules;  // of the validation text
};

// Estimates a model from counts, publishes it, and writes and evaluates what
// the options ask for.
absl::Status PublishFromCounts(const NgramModelOptions& options,
                               const TrainingText& text,
                               const Vocabulary& vocabulary,
                               NgramCounts counts);

// Publishes a model of the counts in a directory; see CountsManifest. The trie
// is built in the work directory, and a model that stores counts, too, within
// counting.memory bytes; others are estimated in memory. If the directory is
// temporary, its windows are removed when the trie has them.
absl::Status PublishFromDirectory(const NgramModelOptions& options,
                                  const CountingOptions& counting,
                                  const TextRules& rules,
                                  const std::string& directory,
                                  bool is_temporary, const StopFlag* stop,
                                  WorkDirectory& work);

// Returns the name of the work of making a model, for WorkDirectory, from that
// of counting: the files of different models are different.
std::string ModelTaskName(const NgramModelOptions& options,
                          const std::string& counting);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COMMANDS_NGRAM_MODEL_H_
