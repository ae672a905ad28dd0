// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COMMANDS_COUNTED_INPUT_H_
#define LMSERVE_TRAINER_COMMANDS_COUNTED_INPUT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "command_line/cli.h"
#include "models/vocabulary.h"
#include "trainer/ngram/ngram_counts.h"
#include "trainer/text/corpus.h"

namespace lmserve {

// What a command counts n-grams of: a text, or counts of texts in files.
struct CountedInputOptions {
  std::string corpus;
  std::vector<std::string> counts;
  int order = 5;
  CorpusOptions text;
};

// --corpus with the rules of texts, --counts, --order, --vocabulary and
// --min-count. `what` is as in AddCorpusOptions().
void AddCountedInputOptions(cli::App& command, const std::string& what,
                            CountedInputOptions* options);

// Throws a cli::ValidationError if there is neither --corpus nor --counts.
void CheckCountedInput(const CountedInputOptions& options);

struct CountedInput {
  Vocabulary vocabulary;
  NgramCounts counts;
  uint64_t sentences = 0;
  uint64_t tokens = 0;                      // the words without <s>
  std::vector<std::string> self_test = {};  // texts for a version
};

// Reads the text, which `threads` threads count, or the counts. Prints what was
// read, and warnings.
absl::StatusOr<CountedInput> ReadCountedInput(
    const CountedInputOptions& options, int threads);

// Prints the size of a training text.
void PrintTextSize(uint64_t sentences, uint64_t tokens, uint64_t unknown,
                   uint64_t vocabulary, uint64_t blank_lines);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COMMANDS_COUNTED_INPUT_H_
