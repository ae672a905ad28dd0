// SPDX-License-Identifier: Apache-2.0
#ifndef LMSERVE_SERVER_HANDLERS_SOURCES_H_
#define LMSERVE_SERVER_HANDLERS_SOURCES_H_

#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "lm/v1/language_model.pb.h"
#include "model_store/loaded_version.h"
#include "models/translation_model.h"
#include "server/call/call.h"
#include "server/call/task.h"
#include "server/handlers/encoded_texts.h"
#include "server/handlers/serving_context.h"

namespace lmserve {

// Returns INVALID_ARGUMENT, naming the field, if a translation model gets no
// source, or a model of another kind gets one.
absl::Status CheckHasSource(absl::string_view field,
                            const LoadedVersion& loaded, bool has_source);

// Sets *words to the words of the sources of a request, if the model is a
// translation model; leaves it alone for other models. Empty sources are not
// allowed. Fails as CheckHasSource() and EncodedTexts::Add() do or, if failures
// is not null, as EncodedTexts::AddOrFail() does.
absl::Status EncodeSources(absl::string_view field, const LoadedVersion& loaded,
                           const Limits& limits,
                           absl::Span<const lm::v1::Text* const> sources,
                           std::optional<EncodedTexts>* words,
                           TextFailures* failures = nullptr);

// What a translation model keeps of the sources that it read. States of its
// decoder may refer to it.
using SourceStates =
    std::vector<std::unique_ptr<const TranslationModel::Source>>;

// Reads sources [begin, end) as one batch, and appends what the model keeps of
// them to *read. Fails as Batcher::Run() does. All arguments must last until
// the task is done. REQUIRES: the model is a translation model.
Task<absl::Status> ReadSources(const ServingContext& serving, Call& call,
                               const LoadedVersion& loaded,
                               const EncodedTexts& sources, size_t begin,
                               size_t end, SourceStates* read);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HANDLERS_SOURCES_H_
