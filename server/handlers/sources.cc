// SPDX-License-Identifier: Apache-2.0
#include "server/handlers/sources.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/call/status.h"

namespace lmserve {

absl::Status CheckHasSource(absl::string_view field,
                            const LoadedVersion& loaded, bool has_source) {
  const bool translates = loaded.model().kind() == ModelKind::kTranslation;
  if (translates == has_source) return absl::OkStatus();
  return InvalidField(
      field, translates
                 ? absl::StrCat("expected a source for the translation model '",
                                loaded.name(), "', found none")
                 : absl::StrCat("expected no source, because '", loaded.name(),
                                "' is not a translation model, found one"));
}

absl::Status EncodeSources(absl::string_view field, const LoadedVersion& loaded,
                           const Limits& limits,
                           absl::Span<const lm::v1::Text* const> sources,
                           std::optional<EncodedTexts>* words,
                           TextFailures* failures) {
  absl::Status status = CheckHasSource(field, loaded, !sources.empty());
  if (!status.ok() || sources.empty()) return status;
  words->emplace(loaded.model().translation()->source_vocabulary(), limits);
  for (size_t i = 0; status.ok() && i < sources.size(); ++i) {
    const int index = sources.size() == 1 ? -1 : static_cast<int>(i);
    status = failures == nullptr
                 ? (*words)->Add(*sources[i], field, index, {})
                 : (*words)->AddOrFail(*sources[i], field, index, {}, failures);
  }
  return status;
}

Task<absl::Status> ReadSources(const ServingContext& serving, Call& call,
                               const LoadedVersion& loaded,
                               const EncodedTexts& sources, size_t begin,
                               size_t end, SourceStates* read) {
  const auto work = [&] {
    for (size_t i = begin; i < end; ++i) {
      read->push_back(loaded.model().translation()->Read(sources.words(i)));
    }
  };
  size_t words = 0;
  for (size_t i = begin; i < end; ++i) words += sources.words(i).size() + 1;
  co_return co_await serving.batcher.Run(call, loaded, words, work);
}

}  // namespace lmserve
