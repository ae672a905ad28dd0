// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COMMANDS_NGRAM_OUTPUT_H_
#define LMSERVE_TRAINER_COMMANDS_NGRAM_OUTPUT_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "command_line/cli.h"
#include "models/ngram/ngram_table.h"
#include "models/vocabulary.h"
#include "trainer/commands/common_options.h"
#include "trainer/commands/layout_options.h"
#include "trainer/ngram/publish_ngram.h"

namespace lmserve {

// Where and how a command writes an n-gram model: --store, --model, --arpa and
// the options of its layout.
struct NgramOutput {
  ModelOptions target;
  std::string arpa;  // empty: no file
  LayoutOptions layout;
};

// Adds --layout and --quantize, too. `sizes` is as AddLayoutOptions() says.
void AddNgramOutputOptions(cli::App& command, absl::string_view sizes,
                           NgramOutput* output);

// Whether the model can be written, before the work of making it.
absl::Status CheckNgramOutput(const NgramOutput& output);

// Warns of contexts whose probabilities were scaled, if there are any; see
// RecomputeBackoffs().
void WarnOfScaling(uint64_t contexts);

// Publishes a model, prints the numbers of its n-grams to the standard error
// and its version to the standard output, and writes the ARPA file. With
// --arpa - the ARPA file is the standard output. Returns the version.
absl::StatusOr<uint64_t> WriteNgramModel(
    const NgramOutput& output, const Vocabulary& vocabulary,
    const NgramFileContents& file,
    std::map<std::string, std::string> properties,
    std::vector<std::string> self_test);

// Does the same with files.
absl::StatusOr<uint64_t> WriteNgramModel(
    const NgramOutput& output, const NgramFilePaths& files,
    std::map<std::string, std::string> properties,
    std::vector<std::string> self_test);

// Builds the file of a table in the layout of the options, and does the same.
absl::StatusOr<uint64_t> WriteNgramTable(
    const NgramOutput& output, const Vocabulary& vocabulary,
    const NgramTable& table, std::map<std::string, std::string> properties,
    std::vector<std::string> self_test);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COMMANDS_NGRAM_OUTPUT_H_
