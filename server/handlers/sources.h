#ifndef LMSERVE_SERVER_HANDLERS_SOURCES_H_
#define LMSERVE_SERVER_HANDLERS_SOURCES_H_

#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "lm/v1/language_model.pb.h"
#include "model_store/loaded_model.h"
#include "models/translation_model.h"
#include "server/call/call.h"
#include "server/call/task.h"
#include "server/handlers/encoded_texts.h"
#include "server/handlers/serving_context.h"

namespace lmserve {

// INVALID_ARGUMENT, naming the field, where a translation model gets no source,
// or another model gets one.
absl::Status CheckHasSource(absl::string_view field, const LoadedModel& loaded,
                            bool has_source);

// Sets the words of the sources of a request to a translation model, none of
// which may be empty; nothing where the model is another. Fails as
// CheckHasSource() and Encoder::Add().
absl::Status EncodeSources(absl::string_view field, const LoadedModel& loaded,
                           const Limits& limits,
                           absl::Span<const lm::v1::Text* const> sources,
                           std::optional<Encoder>* words);

using ReadSources =
    std::vector<std::unique_ptr<const TranslationModel::Source>>;

// Reads the sources [begin, end) as one batch of the batcher. All arguments
// must last until it is done.
Task<absl::Status> Read(const Serving& serving, Call& call,
                        const LoadedModel& loaded, const Encoder& sources,
                        size_t begin, size_t end, ReadSources* read);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HANDLERS_SOURCES_H_
