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
// Of what a translation model translates; the other is of its translations.
inline constexpr absl::string_view kSourceVocabularyFile =
    "source_vocabulary.txt";

// The files of a model by name, as views of the caller's memory.
using ModelFiles = std::map<std::string, absl::string_view, std::less<>>;

// The bytes of a file. INVALID_ARGUMENT, naming it, where it is missing.
absl::StatusOr<absl::string_view> FindFile(const ModelFiles& files,
                                           absl::string_view name);

// The words of vocabulary.txt, which every family has, or of another file.
absl::StatusOr<Vocabulary> ReadVocabulary(
    const ModelFiles& files, absl::string_view name = kVocabularyFile);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_MODEL_FILES_H_
