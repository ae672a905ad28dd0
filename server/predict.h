#ifndef LMSERVE_SERVER_PREDICT_H_
#define LMSERVE_SERVER_PREDICT_H_

#include "absl/status/status.h"
#include "lm/v1/language_model.pb.h"
#include "model_store/model_store.h"
#include "server/limits.h"

namespace lmserve {

// Answers LanguageModelService.Predict. Any number of threads may call it.
absl::Status Predict(const ModelStore& store, const Limits& limits,
                     const lm::v1::PredictRequest& request,
                     lm::v1::PredictResponse* response);

}  // namespace lmserve

#endif  // LMSERVE_SERVER_PREDICT_H_
