// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_MODEL_FILES_H_
#define LMSERVE_MODELS_MODEL_FILES_H_

#include <functional>
#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "models/vocabulary.h"

namespace lmserve {

inline constexpr absl::string_view kVocabularyFile = "vocabulary.txt";
// The words of the source language of a translation model, whose
// vocabulary.txt has the words of the target language.
inline constexpr absl::string_view kSourceVocabularyFile =
    "source_vocabulary.txt";

// The labels of a tagger or a classifier.
inline constexpr absl::string_view kLabelsFile = "labels.txt";

// The contents of the files of a model, by file name, as views of the caller's
// memory.
using ModelFiles = std::map<std::string, absl::string_view, std::less<>>;

// Returns the bytes of a file, or INVALID_ARGUMENT with the name of the file if
// it is missing.
absl::StatusOr<absl::string_view> FindFile(const ModelFiles& files,
                                           absl::string_view name);

// Reads the vocabulary file `name`. Every family has vocabulary.txt.
absl::StatusOr<Vocabulary> ReadVocabulary(
    const ModelFiles& files, absl::string_view name = kVocabularyFile);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_MODEL_FILES_H_
