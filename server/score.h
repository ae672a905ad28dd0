#ifndef LMSERVE_SERVER_SCORE_H_
#define LMSERVE_SERVER_SCORE_H_

#include <vector>

#include "absl/status/status.h"
#include "lm/v1/language_model.pb.h"
#include "model_store/model_store.h"
#include "models/language_model.h"
#include "server/encoder.h"
#include "server/limits.h"

namespace lmserve {

// Answers LanguageModelService.Score. All texts are scored in one batch. Any
// number of threads may call it.
absl::Status Score(const ModelStore& store, const Limits& limits,
                   const lm::v1::ScoreRequest& request,
                   lm::v1::ScoreResponse* response);

// ln P of every word of the texts, each after <s>; parallel to
// texts.all_words().
std::vector<float> ScoreTexts(const LanguageModel& model, const Encoder& texts);

// Who answered.
void SetModel(const LoadedModel& loaded, lm::v1::ModelVersion* version);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_SCORE_H_
