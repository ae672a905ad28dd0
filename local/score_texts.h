// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_LOCAL_SCORE_TEXTS_H_
#define LMSERVE_LOCAL_SCORE_TEXTS_H_

#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "local/local_model.h"
#include "models/any_model.h"
#include "models/vocabulary.h"

namespace lmserve {

// The words that a model gets in one call. Larger batches are no faster, and
// networks need memory for each word.
inline constexpr size_t kBatchWords = 4096;

// Appends the ids of the words of a text. INVALID_ARGUMENT if <s> or </s> is
// one of them.
absl::Status AppendWordsOf(const Vocabulary& vocabulary, absl::string_view text,
                           std::vector<WordId>* words);

// Returns them.
absl::StatusOr<std::vector<WordId>> WordsOf(const Vocabulary& vocabulary,
                                            absl::string_view text);

// Scores texts by a model of any kind that scores texts, on
// options.threads threads. See LocalModel::Score().
absl::StatusOr<std::vector<LocalScore>> ScoreTexts(
    const AnyModel& model, absl::Span<const absl::string_view> texts,
    const LocalScoreOptions& options);

}  // namespace lmserve

#endif  // LMSERVE_LOCAL_SCORE_TEXTS_H_
