// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_COMMANDS_NGRAM_INPUT_H_
#define LMSERVE_TRAINER_COMMANDS_NGRAM_INPUT_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/ngram/ngram_table.h"
#include "models/vocabulary.h"

namespace lmserve {

// What the help of an option says about its values, which ReadNgramInput()
// reads.
inline constexpr absl::string_view kNgramInputHelp =
    "NAME, NAME@VERSION or NAME@ALIAS of the store, or an ARPA file: a name "
    "with a / or one that ends in .arpa, .arpa.gz or the like";

// A back-off model to compute with.
struct NgramInput {
  std::string name;  // NAME@VERSION, or the file
  Vocabulary vocabulary;
  NgramTable table;
};

// Reads an n-gram model of a store or an ARPA file, as kNgramInputHelp says.
// Prints the warnings about an ARPA file. Fails with FAILED_PRECONDITION,
// naming the model, if it is of another family or has no back-off weights.
absl::StatusOr<NgramInput> ReadNgramInput(const std::string& store,
                                          const std::string& spec);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_COMMANDS_NGRAM_INPUT_H_
