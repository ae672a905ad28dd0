// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_MODELS_FIND_WORDS_H_
#define LMSERVE_MODELS_FIND_WORDS_H_

#include <vector>

#include "absl/strings/string_view.h"
#include "models/vocabulary.h"

namespace lmserve {

// Returns the ids of the words of a text, which is split as by ForEachWord().
// Words that the vocabulary does not have become <unk>. Thread-safe.
std::vector<WordId> FindWords(const Vocabulary& vocabulary,
                              absl::string_view text);

}  // namespace lmserve

#endif  // LMSERVE_MODELS_FIND_WORDS_H_
