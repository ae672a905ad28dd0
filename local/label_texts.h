// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_LOCAL_LABEL_TEXTS_H_
#define LMSERVE_LOCAL_LABEL_TEXTS_H_

#include <cstddef>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "local/local_model.h"
#include "models/classifier_model.h"
#include "models/sentence_encoder.h"
#include "models/tagger_model.h"

namespace lmserve {

// What models that do not score texts say about them, in batches of limited
// size. All return INVALID_ARGUMENT, naming the text, if <s> or </s> is one of
// its words.

// Returns a row-major matrix of shape (texts, dimensions).
absl::StatusOr<std::vector<float>> EmbedTexts(
    const SentenceEncoder& encoder, absl::Span<const absl::string_view> texts,
    const LocalEmbedOptions& options);

// Returns the numbers of the labels of each word of each sentence.
// INVALID_ARGUMENT also for invalid UTF-8.
absl::StatusOr<std::vector<std::vector<size_t>>> TagTexts(
    const TaggerModel& tagger, absl::Span<const absl::string_view> sentences);

// Returns ln P(label | text), a row-major matrix of shape (texts, labels).
absl::StatusOr<std::vector<float>> ClassifyTexts(
    const ClassifierModel& classifier,
    absl::Span<const absl::string_view> texts);

}  // namespace lmserve

#endif  // LMSERVE_LOCAL_LABEL_TEXTS_H_
