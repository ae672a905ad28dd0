#ifndef LMSERVE_SERVER_HANDLERS_SCORE_H_
#define LMSERVE_SERVER_HANDLERS_SCORE_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lm/v1/language_model.pb.h"
#include "model_store/loaded_version.h"
#include "server/call/call.h"
#include "server/call/task.h"
#include "server/handlers/encoded_texts.h"
#include "server/handlers/serving_context.h"

namespace lmserve {

// Answers LanguageModelService.Score. All texts are scored in one batch. Any
// number of threads may call it; the arguments must last until it is done.
Task<absl::Status> Score(const ServingContext& serving, Call& call,
                         const lm::v1::ScoreRequest& request,
                         lm::v1::ScoreResponse* response);

// ln P of every word of the texts, after <s> and those before it or, if the
// model is bidirectional, given all others; parallel to texts.all_words(). Of a
// translation model `sources` has what they translate, one for all or one a
// text; of another it is null.
Task<absl::StatusOr<std::vector<float>>> ScoreTexts(
    const ServingContext& serving, Call& call, const LoadedVersion& loaded,
    const EncodedTexts& texts, const EncodedTexts* sources);

// ln P of every text, the sum of its words' as above, and of its </s>. Texts
// that serving.score_cache knows cost no work; the others are scored in one
// batch, and known from then on.
Task<absl::StatusOr<std::vector<ScoreCache::Score>>> ScoreWholeTexts(
    const ServingContext& serving, Call& call, const ModelHandle& model,
    const EncodedTexts& texts, const EncodedTexts* sources);

// Who answered.
void SetModel(const LoadedVersion& loaded, lm::v1::ModelVersion* version);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_HANDLERS_SCORE_H_
