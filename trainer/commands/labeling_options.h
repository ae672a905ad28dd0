// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COMMANDS_LABELING_OPTIONS_H_
#define LMSERVE_TRAINER_COMMANDS_LABELING_OPTIONS_H_

#include <map>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "command_line/cli.h"
#include "text_io/line_reader.h"
#include "trainer/commands/neural_options.h"
#include "trainer/commands/train_network.h"
#include "trainer/neural/recurrent_stack.h"
#include "trainer/text/labeled_text.h"

namespace lmserve {

// What the commands that train networks with labels have in common.
struct LabelingOptions : NeuralOptions {
  std::string cell = "lstm";
  std::string nonlinearity = "tanh";
  size_t embedding = 100;
  double initial_range = 0.1;
  bool forward_only = false;
  double word_dropout = 0.25;
  RecurrentStackOptions stack;
};

// Adds all options. `form` is how the texts are written, for the help.
void AddLabelingOptions(cli::App& command, absl::string_view form,
                        LabelingOptions* options);

// Sets the options of the layers that follow from others. Fails as
// ReadProducts() does.
absl::Status CompleteStack(LabelingOptions* options);

// Returns the properties that describe these options.
std::map<std::string, std::string> LabelingProperties(
    const LabelingOptions& options);

// The training and the validation text of a network with labels.
struct LabeledTexts {
  LabelIndex index;
  std::vector<LabeledIds> training, valid;
  std::vector<std::string> spellings;  // of the words of both
  std::vector<std::string> self_test;  // the first training sentences
};

using LabeledReader =
    absl::FunctionRef<absl::StatusOr<std::vector<LabeledSentence>>(
        LineReader& lines)>;

// Opens and reads a text, with messages on the standard error.
absl::StatusOr<std::vector<LabeledSentence>> ReadLabeledFile(
    const std::string& file, LabeledReader read);

// Reads the texts --corpus and --valid. Fails before it reads if the name of
// the model is not valid.
absl::StatusOr<LabeledTexts> ReadLabeledTexts(const LabelingOptions& options,
                                              LabeledReader read);

// Makes the job of a network with labels, except for the version's family and
// make_network. The properties are LabelingProperties().
TrainingJob MakeLabelingJob(const LabelingOptions& options, LabeledTexts texts);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COMMANDS_LABELING_OPTIONS_H_
