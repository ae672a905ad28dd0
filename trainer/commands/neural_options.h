// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COMMANDS_NEURAL_OPTIONS_H_
#define LMSERVE_TRAINER_COMMANDS_NEURAL_OPTIONS_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "command_line/cli.h"
#include "models/neural/products.h"
#include "trainer/commands/common_options.h"
#include "trainer/neural/batches.h"
#include "trainer/neural/network_trainer.h"
#include "trainer/text/corpus.h"

namespace lmserve {

// Options of all commands that train neural networks.
struct NeuralOptions {
  ModelOptions target;
  std::string corpus;
  std::string valid;
  CorpusOptions text;
  BatchOptions batches;
  TrainingOptions training;
  std::string schedule = "plateau";
  std::string optimizer = "adam";
  std::string precision = "float";
  std::string products = "float";  // see ReadProducts()
  std::string cutoffs;             // --adaptive; empty: a full softmax
};

// Adds these options. Values that the command set in *options before are the
// defaults.
void AddNeuralOptions(cli::App& command, NeuralOptions* options);

// Returns the value of --products. FAILED_PRECONDITION if the processor has no
// instructions for it.
absl::StatusOr<ProductPrecision> ReadProducts(const NeuralOptions& options);

// The parts of AddNeuralOptions() that do not depend on the form of the text:
// --valid; and all but the options of the text and --adaptive.
void AddValidOption(cli::App& command, NeuralOptions* options);
void AddTrainingOptions(cli::App& command, NeuralOptions* options);

// Adds --cell and --nonlinearity.
void AddCellOptions(cli::App& command, std::string* cell,
                    std::string* nonlinearity);

// Adds --embedding, --tied and --initial-range. `embeddings` names the
// embeddings in the help text of --initial-range.
void AddEmbeddingOptions(cli::App& command, absl::string_view embeddings,
                         size_t* embedding, bool* tied, double* initial_range);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COMMANDS_NEURAL_OPTIONS_H_
