#ifndef LMSERVE_MODEL_STORE_SELF_TEST_H_
#define LMSERVE_MODEL_STORE_SELF_TEST_H_

#include <string>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "lm/v1/manifest.pb.h"
#include "models/any_model.h"

namespace lmserve {

// A few texts with the log-probabilities that a model gives their words and,
// unless it is bidirectional, </s>. Loading ends with it: a model that answers
// otherwise never serves. Of a translation model, texts[i] translates
// sources[i], or nothing where there are fewer.
lm::v1::SelfTest MakeSelfTest(const AnyModel& model,
                              absl::Span<const std::string> texts,
                              absl::Span<const std::string> sources = {});

// Scores the texts anew. DATA_LOSS, naming the text and the word, where there
// is no text, or a number differs by more than 1e-4.
absl::Status RunSelfTest(const AnyModel& model,
                         const lm::v1::SelfTest& self_test);

}  // namespace lmserve

#endif  // LMSERVE_MODEL_STORE_SELF_TEST_H_
