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

// INVALID_ARGUMENT, naming the field, where a translation model gets no source,
// or another model gets one.
absl::Status CheckHasSource(absl::string_view field,
                            const LoadedVersion& loaded, bool has_source);

// Sets the words of the sources of a request to a translation model, none of
// which may be empty; nothing where the model is another. Fails as
// CheckHasSource() and EncodedTexts::Add().
absl::Status EncodeSources(absl::string_view field, const LoadedVersion& loaded,
                           const Limits& limits,
                           absl::Span<const lm::v1::Text* const> sources,
                           std::optional<EncodedTexts>* words);

using SourceStates =
    std::vector<std::unique_ptr<const TranslationModel::Source>>;

// Reads the sources [begin, end) as one batch of the batcher. All arguments
// must last until it is done.
Task<absl::Status> ReadSources(const ServingContext& serving, Call& call,
                               const LoadedVersion& loaded,
                               const EncodedTexts& sources, size_t begin,
                               size_t end, SourceStates* read);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HANDLERS_SOURCES_H_
