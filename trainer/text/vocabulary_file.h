// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_TRAINER_TEXT_VOCABULARY_FILE_H_
#define LMSERVE_TRAINER_TEXT_VOCABULARY_FILE_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace lmserve {

// Reads the file of --vocabulary: the words, separated by white space, in the
// order of the file, each once, without <unk>, <UNK>, <s> and </s>. Fails with
// INVALID_ARGUMENT, naming the line, for invalid UTF-8, and if the file is a
// table of words and numbers. Thread-safe.
absl::StatusOr<std::vector<std::string>> ReadVocabularyFile(
    const std::string& file);

}  // namespace lmserve

#endif  // LMSERVE_TRAINER_TEXT_VOCABULARY_FILE_H_
